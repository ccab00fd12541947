"""One measurement a module, each with a function `run` for both systems in turn."""
