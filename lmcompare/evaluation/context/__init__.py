"""Tell what a model gains from the context of a token, from which side, and from how far."""
