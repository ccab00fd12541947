"""Where rows are kept. Nothing is imported here: a store brings its driver only to those who use it."""
