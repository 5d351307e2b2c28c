"""Known data sets: where their files are, what must be in them, and how to get them."""
