"""The folder of a run: what lies there, and how it is found and read."""
