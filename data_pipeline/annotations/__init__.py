"""One parser for each form in which animal-action annotations are distributed."""
