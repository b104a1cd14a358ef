"""Results in the formats of the tools that people have, one module each."""
