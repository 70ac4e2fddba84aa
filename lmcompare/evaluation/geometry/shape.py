"""The shape of a cloud of states, from sums over its words: no array has words by words numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """Tell how states lie in their space; None where they do not vary at all.

    Attributes:
        anisotropy: the mean cosine of two words of different texts (Ethayarajh 2019).
        centered_anisotropy: the same after the mean of all words is taken off.
        effective_rank: exp of the entropy of the singular values of the centred states, divided by
            their sum (Roy & Vetterli 2007).
        participation_ratio: the squared sum of the variances along the principal axes over the sum
            of their squares (Gao et al. 2017).
        mean_norm: the mean length of a state.
        spectrum: the share of the variance of each principal axis, in order.
    """

    anisotropy: float
    centered_anisotropy: float | None
    effective_rank: float | None
    participation_ratio: float | None
    mean_norm: float
    spectrum: Float[ndarray, " D"]


Blocks = Callable[[], Iterator[Float[ndarray, "B D"]]]


def shape_of(states: Blocks, mean: Float[ndarray, " D"], first: Int[ndarray, " R1"]) -> Shape:
    """Return the shape of some words' states.

    Args:
        states: yields those of all words, some at a time, as often as it is called.
        mean: of these.
        first: the number of the first word of each text, and that of all words at the end.
    """
    covariance = np.zeros((len(mean), len(mean)))
    norms, num = 0.0, int(first[-1])
    for block in states():
        part = block.astype(np.float64)
        norms += float(np.linalg.norm(part, axis=1).sum())
        covariance += (part - mean).T @ (part - mean)
    variances = np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0)
    varies = bool(variances[0] > 1e-12 * num * max(float(mean @ mean), 1e-30))
    if not varies:
        variances = np.zeros_like(variances)
    return Shape(
        anisotropy=_mean_cosine(states, np.zeros_like(mean), first),
        centered_anisotropy=_mean_cosine(states, mean, first) if varies else None,
        effective_rank=effective_rank(np.sqrt(variances)) if varies else None,
        participation_ratio=float(variances.sum() ** 2 / (variances**2).sum()) if varies else None,
        mean_norm=norms / num,
        spectrum=variances / variances.sum() if varies else variances,
    )


def effective_rank(singular_values: Float[ndarray, " D"]) -> float:
    """Return exp of the entropy of singular values, divided by their sum."""
    shares = singular_values[singular_values > 0] / singular_values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _mean_cosine(states: Blocks, origin: ndarray, first: ndarray) -> float:
    """Return the mean cosine, seen from a point, over all pairs of words of different texts.

    The sum over all pairs is the squared length of the sum of unit vectors; that within texts is
    the same of each text.
    """
    text = np.repeat(np.arange(len(first) - 1), np.diff(first))
    sums = np.zeros((len(first) - 1, len(origin)))
    done = 0
    for block in states():
        away = block - origin
        norms = np.linalg.norm(away, axis=1, keepdims=True)
        unit = np.divide(away, norms, out=np.zeros_like(away), where=norms > 0)
        np.add.at(sums, text[done : done + len(block)], unit)
        done += len(block)
    sizes = np.diff(first).astype(np.float64)
    total = float((sums.sum(0) ** 2).sum() - (sums**2).sum())
    num = float(sizes.sum() ** 2 - (sizes**2).sum())
    return total / num if num else float("nan")
