"""Describe a sample of words in a layer, word by word, and what chance would make of it.

Three similarities compare two square patterns of the same words, entry by entry: CKA the centred
kernels, representational similarity the ranks of the distances, and the overlap of neighbours who
is near to whom. Their null exchanges the words of the one, rows and columns alike. The sample has a
fixed size, so that the patterns have one, too, however many words the text has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare import rng
from lmcompare.evaluation.similarity.measures import KEPT, NOTHING, Measured, whitening

SAMPLE = 1_000  # words at most
NEIGHBOURS = 10
PERMUTATIONS = 40  # of the words, where a pattern tells the similarity
DECOMPOSED = 20  # of the words, where each takes a singular value decomposition
ROWS = 50  # of a pattern whose words are exchanged at once
QUANTILE = 0.95  # of the null

Pattern = Literal["cka", "rsa", "neighbours"]


@dataclass(frozen=True, kw_only=True)
class Null:
    """Tell what a similarity is when the words are exchanged at random."""

    mean: float
    high: float  # the 95% quantile


def centered(states: Float[ndarray, "M D"]) -> Float[ndarray, "M D"]:
    """Return the states of a sample less their mean, in float64."""
    found: ndarray = states.astype(np.float64)
    found -= found.mean(0)
    return found


def cosines(states: Float[ndarray, "M D"]) -> Float[ndarray, "M M"]:
    """Return the cosines of centred states; 0 of one that is the mean itself."""
    norms = np.linalg.norm(states, axis=1, keepdims=True)
    unit = np.divide(states, norms, out=np.zeros_like(states), where=norms > 0)
    found: ndarray = unit @ unit.T
    return found


def kernel(states: Float[ndarray, "M D"]) -> Float[ndarray, "M M"]:
    """Return the U-centred linear kernel (Szekely & Rizzo 2014), its Frobenius norm being 1.

    The inner product of two of them is debiased CKA. All 0 where the states do not vary.
    """
    num = len(states)
    found = states @ states.T
    np.fill_diagonal(found, 0)
    rows = found.sum(1) / (num - 2)
    found -= rows[:, None] + rows[None, :] - found.sum() / ((num - 1) * (num - 2))
    np.fill_diagonal(found, 0)
    return _of_length_one(found)


def ranks(states: Float[ndarray, "M D"]) -> Float[ndarray, "M M"]:
    """Return the ranks of the distances (1 - cosine), centred, their Frobenius norm being 1.

    The inner product of two of them is Spearman's correlation of the distances (Kriegeskorte et al.
    2008).
    """
    from scipy.stats import rankdata  # slow to import, and tables import this file, too

    num = len(states)
    upper = np.triu_indices(num, 1)
    ranked = rankdata(-cosines(states)[upper])
    found = np.zeros((num, num))
    found[upper] = ranked - ranked.mean()
    return _of_length_one(found + found.T)


def neighbours(states: Float[ndarray, "M D"], *, num: int = NEIGHBOURS) -> Float[ndarray, "M M"]:
    """Return which words are the nearest of each by cosine, such that an inner product is a share.

    That of two of them is the mean share of neighbours in common (Huh et al. 2024).
    """
    near = cosines(states)
    np.fill_diagonal(near, -np.inf)
    num = min(num, len(near) - 1)
    nearest = np.argsort(-near, axis=1, kind="stable")[:, :num]
    found = np.zeros_like(near)
    np.put_along_axis(found, nearest, 1 / math.sqrt(num * len(near)), axis=1)
    return found


PATTERNS = {"cka": kernel, "rsa": ranks, "neighbours": neighbours}


def _of_length_one(pattern: ndarray) -> ndarray:
    norm = float(np.linalg.norm(pattern))
    return pattern / norm if norm > 0 else pattern


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledLayers:
    """The sampled words' states in the layers of one model.

    Attributes:
        states: of each layer, centred.
        starts: where groups of words begin among those of the sample.
    """

    states: Sequence[Float[ndarray, "M D"]]
    starts: Int[ndarray, " G"]

    @property
    def num(self) -> int:
        """Return the number of words."""
        return len(self.states[0])

    def patterns(self, name: Pattern) -> Float[Tensor, "L M M"]:
        """Return the patterns of all layers, in float32."""
        made = [PATTERNS[name](each) for each in self.states]
        return torch.from_numpy(np.stack(made).astype(np.float32))

    @cached_property
    def scores(self) -> Sequence[Float[Tensor, "M K"]]:
        """Return the leading directions of each layer, whitened, as SVCCA compares them."""
        found = (each @ whitening(each.T @ each, kept=KEPT) for each in self.states)
        return [torch.from_numpy(each.astype(np.float32)) for each in found]

    @cached_property
    def scaled(self) -> Sequence[Float[Tensor, "M D"]]:
        """Return the states of each layer, their Frobenius norm being 1."""
        return [torch.from_numpy(_of_length_one(each).astype(np.float32)) for each in self.states]


def permutations(num_words: int, num: int) -> list[Int[Tensor, " M"]]:
    """Return so many orders of the words, the same whenever they are asked for."""
    return [
        torch.randperm(num_words, generator=rng.generator("null of similarity", number))
        for number in range(num)
    ]


def overlaps(x: Float[Tensor, "L R M"], y: Float[Tensor, "K R M"]) -> Float[ndarray, "L K"]:
    """Return the inner products of the patterns of two models."""
    found: ndarray = (x.flatten(1) @ y.flatten(1).T).double().numpy()
    return found


def null_of_patterns(
    x: Float[Tensor, "L M M"], y: Float[Tensor, "K M M"], *, num: int = PERMUTATIONS
) -> list[list[Null]]:
    """Return the null of each layer of the one with each of the other."""
    found = [_overlaps_of(x, y, order) for order in permutations(x.shape[1], num)]
    return _nulls(np.stack(found))


def _overlaps_of(
    x: Float[Tensor, "L M M"], y: Float[Tensor, "K M M"], order: Int[Tensor, " M"]
) -> Float[ndarray, "L K"]:
    """Return the overlaps when the other's words are exchanged, some rows at a time.

    So many that they stay in the processor's cache; whole patterns take twice as long.
    """
    total = np.zeros((len(x), len(y)))
    for start in range(0, len(order), ROWS):
        own = y.index_select(1, order[start : start + ROWS]).index_select(2, order)
        total += overlaps(x[:, start : start + ROWS], own)
    return total


def null_of_decompositions(
    x: Sequence[Float[Tensor, "M D"]],
    y: Sequence[Float[Tensor, "M E"]],
    *,
    mean: bool,
    num: int = DECOMPOSED,
) -> list[list[Null]]:
    """Return the null of a sum of singular values of X'Y, or of their mean.

    Args:
        x: of each layer of the one model: `scores` or `scaled` states.
        y: of each layer of the other.
        mean: whether the singular values are averaged.
        num: how often the words are exchanged.
    """
    found = np.zeros((num, len(x), len(y)))
    for number, order in enumerate(permutations(len(x[0]), num)):
        for row, left in enumerate(x):
            for column, right in enumerate(y):
                if min(left.shape[1], right.shape[1]):
                    values = torch.linalg.svdvals(left.T @ right[order])
                    found[number, row, column] = values.mean() if mean else values.sum()
    return _nulls(found)


def _nulls(values: Float[ndarray, "P L K"]) -> list[list[Null]]:
    means, highs = values.mean(0), np.quantile(values, QUANTILE, axis=0)
    return [
        [Null(mean=float(mean), high=float(high)) for mean, high in zip(*row, strict=True)]
        for row in zip(means, highs, strict=True)
    ]


def measured(
    name: Pattern, x: Float[Tensor, "M M"], y: Float[Tensor, "M M"], starts: Int[ndarray, " G"]
) -> Measured:
    """Return the similarity of two patterns, and what it is without each group of words.

    Neighbours and ranks stay those of all words where a group is left out.
    """
    if not float(x.abs().max()) > 0 or not float(y.abs().max()) > 0:
        return NOTHING
    of = _without_neighbours if name == "neighbours" else _without_ranks
    value = float((x * y).sum(dtype=torch.float64))
    without = of(x, y, starts) if len(starts) > 1 else np.empty(0)
    return Measured(value=value, without=without)


def _without_neighbours(x: Tensor, y: Tensor, starts: ndarray) -> ndarray:
    shares = (x * y).sum(1, dtype=torch.float64).numpy()
    own = np.add.reduceat(shares, starts)
    sizes = np.diff(np.append(starts, len(shares)))
    found: ndarray = (own.sum() - own) * len(shares) / (len(shares) - sizes)
    return found


def _without_ranks(x: Tensor, y: Tensor, starts: ndarray) -> ndarray:
    """Return Pearson's correlation of the ranks of those pairs of which no word is in a group."""
    ones = torch.ones_like(x).fill_diagonal_(0)
    num, sum_x, sum_y, xy, xx, yy = (
        _outside(each, starts) for each in (ones, x, y, x * y, x * x, y * y)
    )
    spread = (xx - sum_x**2 / num) * (yy - sum_y**2 / num)
    found: ndarray = (xy - sum_x * sum_y / num) / np.sqrt(spread)
    return found


def _outside(pattern: Tensor, starts: ndarray) -> ndarray:
    """Return of a symmetric pattern the sum of all entries outside the rows and columns of each."""
    rows = np.add.reduceat(pattern.double().numpy(), starts, axis=0)
    inside = np.diagonal(np.add.reduceat(rows, starts, axis=1))
    found: ndarray = rows.sum() - 2 * rows.sum(1) + inside
    return found
