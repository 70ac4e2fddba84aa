"""What a model makes of hidden tokens."""
