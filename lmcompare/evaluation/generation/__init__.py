"""How well a model writes."""
