"""Texts longer than the model, in overlapping windows that ask for every token once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lmcompare.data import Encoded
from lmcompare.view import Text
from lmcompare.vocab import Vocab


@dataclass(frozen=True, kw_only=True)
class Window:
    """Tokens `start` to `stop` of a document are shown, `first` to `last` of them are asked for."""

    document: int
    start: int
    stop: int
    first: int
    last: int


def windows(
    document: int, num_tokens: int, *, length: int, stride: int, both_sides: bool
) -> Iterator[Window]:
    """Yield windows of at most `length` tokens over a document, `stride` tokens apart.

    Asked tokens have all the context there is on their left where `both_sides` is false, and as
    much on their left as on their right where it is true.
    """
    ahead = (length - stride) // 2 if both_sides else 0
    start = first = 0
    while True:
        start = min(start, max(0, num_tokens - length))
        stop = min(start + length, num_tokens)
        last = num_tokens if stop == num_tokens else stop - ahead
        yield Window(document=document, start=start, stop=stop, first=first, last=last)
        if stop == num_tokens:
            return
        start, first = start + stride, last


def stack(
    parts: list[Window], documents: list[Encoded], vocab: Vocab
) -> tuple[Text, Bool[Tensor, "B T"]]:
    """Return the windows as padded rows begun by the start token, and which tokens are asked."""
    width = 1 + max(part.stop - part.start for part in parts)
    tokens = np.full((len(parts), width), vocab.pad)
    tokens[:, 0] = vocab.bos
    starts_word = np.zeros((len(parts), width), dtype=np.int64)
    score_mask = np.zeros((len(parts), width), dtype=bool)
    for row, part in enumerate(parts):
        document, stop = documents[part.document], 1 + part.stop - part.start
        tokens[row, 1:stop] = document.ids[part.start : part.stop]
        starts_word[row, 1:stop] = document.starts_word[part.start : part.stop]
        score_mask[row, 1 + part.first - part.start : 1 + part.last - part.start] = True
    starts_word[:, 1:2] = 1  # a window may begin inside a word
    size = np.array([part.stop - part.start for part in parts])
    visible = np.arange(width) <= size[:, None]
    text = Text(
        tokens=torch.from_numpy(tokens),
        visible=torch.from_numpy(visible),
        word=torch.from_numpy(starts_word.cumsum(1) * visible),
    )
    return text, torch.from_numpy(score_mask)
