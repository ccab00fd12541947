"""The platform at a terminal: one command for each action of the API, with the same words and the same refusals."""
