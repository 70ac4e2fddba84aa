"""The order of the training blocks, as a function of (seed, step) alone.

Each epoch is a permutation of all blocks by a Feistel network over numbers of an even count of bits
(Luby and Rackoff 1988, https://doi.org/10.1137/0217022), walked along its cycles until the result
is a block (Black and Rogaway 2002, https://eprint.iacr.org/2001/012). No permutation is ever kept:
any part of any epoch costs in proportion to its length.
"""

import numpy as np
from jaxtyping import Int, UInt
from numpy import ndarray

from lmcompare.data.split import Split
from lmcompare.rng import key
from lmcompare.view import Text

NUM_ROUNDS = 12  # 4 suffice in theory, for large domains; small ones need more to look random
MIN_HALF_BITS = 4
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio


def shuffled(index: Int[ndarray, " N"], *, num_blocks: int, seed: int) -> Int[ndarray, " N"]:
    """Return the block at each index of the training order.

    Args:
        index: counted through all epochs: the first of epoch 1 is `num_blocks`.
        num_blocks: blocks in an epoch.
        seed: of the order.

    Returns:
        Numbers of blocks; each occurs once in an epoch.
    """
    epochs, within = np.divmod(np.asarray(index, dtype=np.int64), num_blocks)
    distinct, which = np.unique(epochs, return_inverse=True)
    keys = np.array([key("order", seed, int(epoch)) for epoch in distinct], dtype=np.uint64)
    return _permute(within.astype(np.uint64), num_blocks, keys[which]).astype(np.int64)


def training_text(
    split: Split, *, seed: int, step: int, num_rows: int, length: int, separate_documents: bool
) -> Text:
    """Return the batch of a training step, from 0: `num_rows` blocks of `length` tokens.

    Raises:
        UserError: the split is shorter than one block.
    """
    index = step * num_rows + np.arange(num_rows, dtype=np.int64)
    blocks = shuffled(index, num_blocks=split.num_blocks(length), seed=seed)
    return split.blocks(blocks, length=length, separate_documents=separate_documents)


def _permute(
    values: UInt[ndarray, " N"], size: int, keys: UInt[ndarray, " N"]
) -> UInt[ndarray, " N"]:
    """Map each value, below `size`, through the permutation that its key chooses."""
    half_bits = max(MIN_HALF_BITS, ((size - 1).bit_length() + 1) // 2)
    values = _feistel(values, half_bits, keys)
    while (outside := values >= size).any():
        values[outside] = _feistel(values[outside], half_bits, keys[outside])
    return values


def _feistel(
    values: UInt[ndarray, " N"], half_bits: int, keys: UInt[ndarray, " N"]
) -> UInt[ndarray, " N"]:
    shift, mask = np.uint64(half_bits), np.uint64(2**half_bits - 1)
    left, right = values >> shift, values & mask
    for _ in range(NUM_ROUNDS):
        keys = _mix(keys + GOLDEN)
        left, right = right, left ^ (_mix(right ^ keys) & mask)
    result: ndarray = (left << shift) | right
    return result


def _mix(values: UInt[ndarray, " N"]) -> UInt[ndarray, " N"]:
    """Mix the bits, each of the result depending on all: the finalizer of SplitMix64.

    Steele, Lea and Flood 2014, https://doi.org/10.1145/2660193.2660195, figure 16.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: ndarray = values ^ (values >> np.uint64(31))
    return mixed
