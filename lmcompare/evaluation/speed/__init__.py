"""How fast a trained model writes and reads."""
