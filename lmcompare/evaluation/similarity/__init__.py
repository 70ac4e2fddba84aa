"""Tell how alike the states of two models are, layer by layer, on the same words."""
