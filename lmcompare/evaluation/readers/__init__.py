"""The formats in which others publish labelled data."""
