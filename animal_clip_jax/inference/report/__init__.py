"""A prediction as pages: what each video shows and when, to look at and to review."""
