"""Intervals and tests: how certain a difference is."""
