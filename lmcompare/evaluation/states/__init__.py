"""The states of a model's layers, word by word, and the words whose states are read."""
