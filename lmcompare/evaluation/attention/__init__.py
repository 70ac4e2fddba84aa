"""Whom the heads of each layer attend to."""
