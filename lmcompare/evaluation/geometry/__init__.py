"""Tell how the states of a layer lie in their space."""
