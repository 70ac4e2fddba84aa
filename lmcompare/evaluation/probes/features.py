"""What a probe of an example reads in one layer: the states of a word, of two words, of a sentence.

A word is its state. A pair is the states of both words and their product, as Liu et al. 2019
(Linguistic Knowledge and Transferability of Contextual Representations) have it, standardised
before they are multiplied. A sentence is the mean of its words' states.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from lmcompare.evaluation.probes.coordinates import Read, chunks
from lmcompare.evaluation.probes.examples import ProbeExamples
from lmcompare.evaluation.states.word_states import States

SMALLEST_SPREAD = 1e-6


def features(states: States, layer: int, examples: ProbeExamples) -> Read:
    """Return what reads the examples of a range.

    Args:
        states: of all words.
        layer: its number.
        examples: all of whose words are known.
    """
    stored = states.layer(layer)
    make: Callable[[ndarray], Float[ndarray, "N F"]]
    if examples.unit == "sentence":

        def make(rows: ndarray) -> Float[ndarray, "N F"]:
            return _means(stored, states.known, rows)

    elif examples.unit == "pair":
        mean, spread = moments(stored, examples.rows[examples.parts["train"], 0])

        def make(rows: ndarray) -> Float[ndarray, "N F"]:
            one, other = (
                (stored[each].astype(np.float32) - mean) / spread
                for each in (rows[:, 0], rows[:, 1])
            )
            return np.concatenate([one, other, one * other], axis=1)

    else:

        def make(rows: ndarray) -> Float[ndarray, "N F"]:
            found: ndarray = stored[rows[:, 0]].astype(np.float32)
            return found

    return lambda some: make(examples.rows[some])


def moments(
    stored: Float[ndarray, "W D"], rows: Int[ndarray, " N"]
) -> tuple[Float[ndarray, " D"], Float[ndarray, " D"]]:
    """Return the mean and the standard deviation of the states of some words, in one pass."""
    total = squares = np.zeros(stored.shape[1])
    for some in chunks(slice(0, len(rows))):
        x = stored[rows[some]].astype(np.float64)
        total, squares = total + x.sum(0), squares + (x**2).sum(0)
    mean = total / len(rows)
    spread = np.sqrt(np.maximum(squares / len(rows) - mean**2, SMALLEST_SPREAD**2))
    return mean.astype(np.float32), spread.astype(np.float32)


def _means(stored: Float[ndarray, "W D"], known: ndarray, rows: ndarray) -> Float[ndarray, "N D"]:
    first, last = int(rows[0, 0]), int(rows[-1, 1])
    block = stored[first : last + 1].astype(np.float32)  # unknown words are 0
    starts = rows[:, 0] - first
    ends = rows[:, 1] + 1 - first
    sums = np.add.reduceat(np.concatenate([block, block[:1] * 0]), _interleaved(starts, ends))[::2]
    num = np.concatenate(([0], np.cumsum(known[first : last + 1]))).astype(np.float32)
    found: ndarray = sums / (num[ends] - num[starts])[:, None]
    return found


def _interleaved(starts: ndarray, ends: ndarray) -> ndarray:
    return np.stack([starts, ends], axis=1).reshape(-1)
