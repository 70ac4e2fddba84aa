"""How the states of words are read; nothing that takes long is imported here."""

from typing import Literal

# how the states of a word's pieces become one
WordPooling = Literal["mean", "first", "last"]
# of an encoder-decoder: whose states
Stack = Literal["encoder", "decoder"]
