"""Tell how the states of words are read; nothing that takes long is imported here."""

from typing import Literal

# how the states of a word's pieces become one
WordPooling = Literal["mean", "first", "last"]
# of an encoder-decoder: whose states
Stack = Literal["encoder", "decoder"]


def in_order(layers: tuple[int, ...]) -> tuple[int, ...]:
    """Return some layers, each once, from the lowest.

    Raises:
        ValueError: there can be no such layer.
    """
    if any(each < 0 for each in layers):
        raise ValueError("layers are numbered from 0, the embedding")
    return tuple(sorted({*layers}))
