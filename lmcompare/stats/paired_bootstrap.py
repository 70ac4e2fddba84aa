"""Shares of what models gained of the same items, with intervals.

The value of a model is the sum of what it gained over the sum of what was possible, and that of an
arm the mean of its seeds' values. Two things vary, the items and the seeds, and an interval holds
both. Items are resampled with replacement (Efron 1979, Annals of Statistics 7), all models on the
same ones. Seeds are weighed at random in each resample, such that of seeds alone the interval is
Student's, as everywhere in lmcompare, and only as far as they differ by more than their answers to
as many items do by chance.

To resample three seeds with replacement as well would not do: no interval then reaches beyond
the lowest and the highest of them. In simulations where seeds matter it held the true value in 80%
of cases, and what is done here does in 91% to 96%.

All random streams are fixed: the same answers give the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import special

from lmcompare import rng
from lmcompare.stats.intervals import LEVEL

RESAMPLES = 2_000  # of the items
WEIGHTINGS = 5  # of the seeds, for each of them
FEWEST_SEEDS = 3  # of which a spread is known; of fewer, intervals are over items alone
NUMBERS_AT_ONCE = 2**22  # of one step; bounds memory, changes no result


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Hold what the models of an arm gained of the same items.

    Attributes:
        score: of each item, by model.
        max_score: the same of what there was to gain.
        seeds: of the models.
        highest: value that there can be; the lowest is 0.
    """

    score: Float[ndarray, "S N"]
    max_score: Float[ndarray, "S N"]
    seeds: tuple[int, ...]
    highest: float = 1.0

    @property
    def knows_seeds(self) -> bool:
        """Tell whether there are enough seeds for their spread to be known."""
        return len(self.seeds) >= FEWEST_SEEDS

    @property
    def are_right_or_wrong(self) -> bool:
        """Tell whether there is one model, and it got nothing or all of each item."""
        right_or_wrong = (self.score == 0) | (self.score == 1)
        return len(self.seeds) == 1 and bool(right_or_wrong.all() and (self.max_score == 1).all())


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and its 95% interval."""

    value: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Tell whether a value lies outside."""
        return not self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True, eq=False)
class BootstrapSample:
    """The values of an arm on resampled items, which all from one call of `resample` share."""

    scores: Scores
    by_seed: Float[ndarray, " S"]  # on the items themselves
    drawn: Float[ndarray, "R S"]

    @property
    def value(self) -> float:
        """Return the mean of the seeds' values."""
        return float(self.by_seed.mean())

    @property
    def interval(self) -> Interval:
        """Return the 95% interval of the value.

        Where all was gained of all items, or nothing, resamples are all equal; then it is Wilson's
        (1927, Journal of the American Statistical Association 22) for the items with something to
        gain.
        """
        low, high = np.clip(_ends(self._values), 0.0, self.scores.highest).tolist()
        num_items = int(self.scores.max_score.any(0).sum())
        if low == high and low in (0.0, self.scores.highest) and num_items:
            low, high = ends_of_all_or_nothing(low, num_items)
        return Interval(value=self.value, low=low, high=high)

    @property
    def standard_error(self) -> float:
        """Return the standard error of the value, from the middle two thirds of resampled ones."""
        low, high = _ends(self._values, level=_ONE_DEVIATION)
        return float(high - low) / 2

    @cached_property
    def _values(self) -> Float[ndarray, " _"]:
        """Return the value of each resample under each weighting."""
        means = np.repeat(self.drawn.mean(1), WEIGHTINGS)
        if not self.scores.knows_seeds or not self.by_seed.var():
            return means
        by_chance = (self.drawn - self.drawn.mean(1, keepdims=True)).var(0).sum()
        spread = ((self.by_seed - self.by_seed.mean()) ** 2).sum()
        share = np.sqrt(max(0.0, 1 - by_chance / spread))
        values: ndarray = means + share * (_weights(self.scores.seeds, len(means)) @ self.by_seed)
        return values


_ONE_DEVIATION = 0.6827  # of a normal distribution


def ends_of_all_or_nothing(value: float, num_items: int) -> tuple[float, float]:
    """Return Wilson's (1927) interval of a share that is 0 or 1, of so many items."""
    square = float(special.ndtri((1 + LEVEL) / 2)) ** 2
    width = square / (num_items + square)
    return (0.0, width) if value == 0 else (1 - width, 1.0)


def resample(models: Sequence[Scores], *, num: int = RESAMPLES) -> list[BootstrapSample]:
    """Draw as many of the items as there are, with replacement, `num` times.

    Args:
        models: of any arms, on the same items.
        num: of resamples.
    """
    score = np.concatenate([each.score for each in models]).astype(np.float64)
    # in most tasks each item has the same highest score for every model
    max_score, which = np.unique(
        np.concatenate([each.max_score for each in models]).astype(np.float64),
        axis=0,
        return_inverse=True,
    )
    which, num_items = which.reshape(-1), score.shape[1]
    stream = np.random.default_rng(rng.key("resampled items"))
    at_once = max(1, NUMBERS_AT_ONCE // num_items)
    drawn = []
    for start in range(0, num, at_once):
        size = min(at_once, num - start)
        counts = np.empty((size, num_items))
        for row in counts:
            row[:] = np.bincount(stream.integers(num_items, size=num_items), minlength=num_items)
        drawn.append(_ratio(counts @ score.T, (counts @ max_score.T)[:, which]))
    ratios = np.concatenate(drawn)
    values = _ratio(score.sum(1), max_score.sum(1)[which])
    found, first = [], 0
    for each in models:
        rows = slice(first, first + len(each.seeds))
        found.append(BootstrapSample(scores=each, by_seed=values[rows], drawn=ratios[:, rows]))
        first = rows.stop
    return found


def _weights(seeds: tuple[int, ...], num: int) -> Float[ndarray, "R S"]:
    """Draw weights that add up to 0 and turn any values into deviations of Student's kind."""
    stream = np.random.default_rng(rng.key("weights of seeds", *seeds))
    weights: ndarray = stream.standard_normal((num, len(seeds)))
    weights -= weights.mean(1, keepdims=True)
    weights /= np.sqrt(len(seeds) * stream.chisquare(len(seeds) - 1, size=(num, 1)))
    return weights


def _ends(values: Float[ndarray, " R"], *, level: float = LEVEL) -> Float[ndarray, " 2"]:
    ends: ndarray = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return ends


def _ratio(score: ndarray, max_score: ndarray) -> ndarray:
    """Return what was gained as a share of what was possible; 0 where nothing was."""
    found: ndarray = np.divide(score, max_score, out=np.zeros_like(score), where=max_score != 0)
    return found
