"""Tell how often words and pairs of words stand in what a model has read.

A word is the tokens between two starts of words, as the prepared text has them, and is known by a
hash of them. A word that begins or ends with its block is cut there in training, and not counted.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int, Integer, UInt
from numpy import ndarray

from lmcompare.data import Split, shuffled

Keys = UInt[ndarray, " W"]

LONGEST = 64  # tokens by which words are told apart
BLOCKS_AT_ONCE = 4_096  # bounds memory, changes no result
# odd numbers that share nothing, one for each place in a word
FACTORS: Keys = np.random.default_rng(20_260).integers(2**63, size=LONGEST, dtype=np.uint64) | 1
SECOND = np.uint64(0x9E3779B97F4A7C15)  # sets the second word of a pair apart from the first


def word_keys(
    ids: Integer[ndarray, " N"], starts: Bool[ndarray, " N"]
) -> tuple[Keys, Int[ndarray, " W"]]:
    """Return a key of each word of a text, and where it begins; the first token begins one."""
    first = np.flatnonzero(starts)
    lengths = np.diff(np.append(first, len(ids)))
    within = np.arange(len(ids)) - np.repeat(first, lengths)
    parts = (ids.astype(np.uint64) + np.uint64(1)) * FACTORS[within.clip(max=LONGEST - 1)]
    return np.add.reduceat(parts, first), first


def pair_keys(first: Keys, second: Keys) -> Keys:
    """Return a key of each pair of words that follow each other."""
    found: Keys = first + second * SECOND
    return found


def counts_read(
    split: Split, words: Keys, pairs: Keys, *, length: int, seed: int, num_blocks: int
) -> tuple[Int[ndarray, " W"], Int[ndarray, " P"]]:
    """Return how often a run has read each word and pair, repeats of its text counted again.

    Args:
        split: the text of training.
        words: keys, in any order.
        pairs: keys, in any order.
        length: tokens of a block.
        seed: of the order of the blocks.
        num_blocks: that it has read.

    Raises:
        UserError: the split is shorter than one block.
    """
    in_epoch = split.num_blocks(length)
    epochs, rest = divmod(num_blocks, in_epoch)
    last = epochs * in_epoch + np.arange(rest)  # of the epoch that it is in
    parts = [(1, shuffled(last, num_blocks=in_epoch, seed=seed)), (epochs, np.arange(in_epoch))]
    totals = (np.zeros(len(words), dtype=np.int64), np.zeros(len(pairs), dtype=np.int64))
    for times, blocks in parts:
        for start in range(0, len(blocks) if times else 0, BLOCKS_AT_ONCE):
            some = blocks[start : start + BLOCKS_AT_ONCE]
            found = _keys_of_blocks(split, some, length)
            for total, wanted, keys in zip(totals, (words, pairs), found, strict=True):
                total += times * _occurrences(wanted, keys)
    return totals


def _keys_of_blocks(split: Split, blocks: Int[ndarray, " B"], length: int) -> Iterator[Keys]:
    """Yield the keys of the whole words in some blocks, and those of the pairs."""
    text = split.blocks(blocks, length=length, separate_documents=False)
    tokens, word = text.tokens[:, 1:].numpy(), text.word[:, 1:].numpy()
    starts = np.ones(tokens.shape, dtype=bool)
    starts[:, 1:] = word[:, 1:] != word[:, :-1]
    keys, first = word_keys(tokens.reshape(-1), starts.reshape(-1))
    row = first // tokens.shape[1]
    begins, ends = np.ones(len(row), dtype=bool), np.ones(len(row), dtype=bool)
    begins[1:] = ends[:-1] = row[1:] != row[:-1]
    whole = ~(begins | ends)
    yield keys[whole]
    together = whole[:-1] & whole[1:]  # between two rows stands one that is not
    yield pair_keys(keys[:-1][together], keys[1:][together])


def _occurrences(wanted: Keys, keys: Keys) -> Int[ndarray, " W"]:
    """Return how often each wanted key is among others."""
    distinct, which = np.unique(wanted, return_inverse=True)
    if not len(distinct):
        return np.zeros(0, dtype=np.int64)
    place = np.searchsorted(distinct, keys).clip(max=len(distinct) - 1)
    hits = np.bincount(place[distinct[place] == keys], minlength=len(distinct))
    found: ndarray = hits[which]
    return found
