"""How probable a model finds held-out text."""
