"""From tokens to words, as Clark et al. 2019 (What Does BERT Look At?, section 4.1) do it.

The attention to a word that was split up is the sum over its tokens, and that from it the mean.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Span = tuple[int, int]  # the positions of a word's tokens; none where both are equal


def membership(spans: Sequence[Sequence[Span]], length: int) -> Float[Tensor, "B N T"]:
    """Return which positions of a row belong to each word, padded with words that have none.

    Args:
        spans: of the words of each row.
        length: of the rows, T.
    """
    found = torch.zeros(len(spans), max(1, *map(len, spans)), length)
    for row, words in enumerate(spans):
        for word, (start, stop) in enumerate(words):
            found[row, word, start:stop] = 1.0
    return found


def between_words(
    weights: Float[Tensor, "B H T T"], belongs: Float[Tensor, "B N T"]
) -> Float[Tensor, "B H N N"]:
    """Return the attention of each word to each word."""
    to = weights @ belongs.transpose(1, 2)[:, None]
    sizes = belongs.sum(2, keepdim=True).clamp(min=1)
    return (belongs / sizes)[:, None] @ to


def candidates(
    sees: Bool[Tensor, "B T T"], belongs: Float[Tensor, "B N T"]
) -> Bool[Tensor, "B N N"]:
    """Return which words a word may be said to attend to: those it sees and shares no token with.

    So a word is no candidate of its own, as none is its own head.
    """
    sees_word = belongs @ sees.to(belongs.dtype) @ belongs.transpose(1, 2) > 0
    shares = belongs @ belongs.transpose(1, 2) > 0
    return sees_word & ~shares


def most_attended(
    words: Float[Tensor, "B H N N"], candidate: Bool[Tensor, "B N N"]
) -> Int[Tensor, "B H N"]:
    """Return the candidate that each word attends to most; the word itself where it does to none.

    No word is its own target, so that such a word is never a hit.
    """
    weight, chosen = words.masked_fill(~candidate[:, None], 0.0).max(3)
    itself = torch.arange(words.shape[2], device=words.device)
    return torch.where(weight > 0, chosen, itself)
