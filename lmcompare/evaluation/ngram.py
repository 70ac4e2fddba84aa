"""How far counting gets: the probability of tokens from the two before each, by frequencies.

Interpolated Kneser-Ney smoothing (Kneser & Ney 1995; Chen & Goodman 1999, Computer Speech and
Language 13, section 3) with one discount. A model of language that does no better has learned less
than its text's trigrams.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from numpy import ndarray

DISCOUNT = 0.75
MOST_TOKENS = 2**24  # of the training text that are counted, from its beginning


@dataclass(frozen=True)
class _Counts:
    """Of some order: how often each pair of a context and a word was counted.

    Attributes:
        keys: context x V + word, sorted.
        counts: of each.
        contexts: sorted.
        totals: of each context, over its words.
        types: of each context, how many words were counted behind it.
    """

    keys: Int[ndarray, " K"]
    counts: Int[ndarray, " K"]
    contexts: Int[ndarray, " C"]
    totals: Int[ndarray, " C"]
    types: Int[ndarray, " C"]

    @staticmethod
    def of(keys: Int[ndarray, " N"], vocab_size: int) -> "_Counts":
        """Return what was counted, if each key stands for one time."""
        found, counts = np.unique(keys, return_counts=True)
        contexts, first, types = np.unique(
            found // vocab_size, return_index=True, return_counts=True
        )
        totals = np.add.reduceat(counts, first) if len(counts) else counts
        return _Counts(found, counts, contexts, totals, types)

    def interpolated(
        self,
        keys: Int[ndarray, " N"],
        contexts: Int[ndarray, " N"],
        lower: Float[ndarray, " N"],
    ) -> Float[ndarray, " N"]:
        """Return the probability of each key's word after its context, given the lower order's."""
        counts = _looked_up(keys, self.keys, self.counts)
        totals = _looked_up(contexts, self.contexts, self.totals)
        types = _looked_up(contexts, self.contexts, self.types)
        share = np.maximum(counts - DISCOUNT, 0) + DISCOUNT * types * lower
        return np.where(totals > 0, share / np.maximum(totals, 1), lower)


def _looked_up(
    wanted: Int[ndarray, " N"], keys: Int[ndarray, " K"], values: Int[ndarray, " K"]
) -> Int[ndarray, " N"]:
    """Return the value of each key; 0 of those that are not there."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64)
    index = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    found: ndarray = np.where(keys[index] == wanted, values[index], 0)
    return found


class Trigrams:
    """What a training text's trigrams say of other texts."""

    def __init__(self, tokens: Integer[ndarray, " N"], is_text: Bool[ndarray, " V"], *, end: int):
        """Count.

        Args:
            tokens: the training text, each document ended by the same token.
            is_text: which ids are predicted; the others are context at most.
            end: the id that ends a document.
        """
        self._size, self._end, self._is_text = len(is_text), end, is_text
        stream = np.concatenate([[end, end], tokens[:MOST_TOKENS].astype(np.int64)])
        words = stream[2:]
        keys = (stream[:-2] * self._size + stream[1:-1]) * self._size + words
        self._three = _Counts.of(keys[is_text[words]], self._size)
        # of lower orders counts what a word was behind, not how often (Kneser & Ney)
        self._two = _Counts.of(self._three.keys % self._size**2, self._size)
        behind = np.bincount(self._two.keys % self._size, minlength=self._size)
        alike = is_text / max(1, is_text.sum())
        spare = DISCOUNT * (behind > 0).sum()
        self._one = alike
        if behind.sum():
            self._one = (np.maximum(behind - DISCOUNT, 0) + spare * alike) / behind.sum()

    def probability(self, document: Integer[ndarray, " N"]) -> Float[ndarray, " N"]:
        """Return that of each token of text after the two before it; 1 of the others."""
        stream = np.concatenate([[self._end, self._end], document.astype(np.int64)])
        words, before = stream[2:], stream[1:-1]
        both = stream[:-2] * self._size + before
        two = self._two.interpolated(before * self._size + words, before, self._one[words])
        three = self._three.interpolated(both * self._size + words, both, two)
        found: ndarray = np.where(self._is_text[words], three, 1.0)
        return found
