"""Shares of what models gained of the same items: with intervals, and one beside another.

The value of a model is the sum of what it gained over the sum of what was possible, and that of an
arm the mean of its seeds' values. Two things vary, the items and the seeds, and an interval holds
both. Items are resampled with replacement (Efron 1979, Annals of Statistics 7), all models on the
same ones. Seeds are weighed at random in each resample, such that of seeds alone the interval is
Student's, as everywhere in lmcompare, and only as far as they differ by more than their answers to
so many items do by chance.

To resample three seeds with replacement as well would not do: no interval reaches beyond the
lowest and the highest of them then. In simulations where seeds matter it held the true value in 80%
of cases, and what is done here in 91% to 96%.

All random streams are fixed: the same answers give the same figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from lmcompare import rng
from lmcompare.statistics import LEVEL

RESAMPLES = 2_000  # of the items
WEIGHTINGS = 5  # of the seeds, for each of them
FEWEST_SEEDS = 3  # of which a spread is known; of fewer, intervals are over items alone
PERMUTATIONS = 4_999
NUMBERS_AT_ONCE = 2**22  # of one step; bounds memory, changes no result


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """What the models of an arm gained of the same items.

    Attributes:
        gained: of each item, by model.
        possible: the same of what there was to gain.
        seeds: of the models; where two arms have the same, each seed stands beside its own.
    """

    gained: Float[ndarray, "S N"]
    possible: Float[ndarray, "S N"]
    seeds: tuple[int, ...]

    @property
    def knows_seeds(self) -> bool:
        """Whether there are enough for their spread to be known."""
        return len(self.seeds) >= FEWEST_SEEDS

    @property
    def are_right_or_wrong(self) -> bool:
        """Whether there is one model, and it got nothing or all of each item."""
        right_or_wrong = (self.gained == 0) | (self.gained == 1)
        return len(self.seeds) == 1 and bool(right_or_wrong.all() and (self.possible == 1).all())


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and its 95% interval."""

    value: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether it lies outside."""
        return not self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True, eq=False)
class Resampled:
    """The values of an arm on resampled items; two of one call of `resample` share their items."""

    scores: Scores
    by_seed: Float[ndarray, " S"]  # on the items themselves
    drawn: Float[ndarray, "R S"]

    @property
    def value(self) -> float:
        """The mean of the seeds' values."""
        return float(self.by_seed.mean())

    @property
    def interval(self) -> Interval:
        """Of the value, which lies in 0 to 1.

        Where all was gained of all items, or nothing, resamples are all alike; then it is Wilson's
        (1927, Journal of the American Statistical Association 22) for so many items to gain from.
        """
        low, high = np.clip(_ends(self._values), 0.0, 1.0).tolist()
        num_items = int(self.scores.possible.any(0).sum())
        if low == high and low in (0.0, 1.0) and num_items:
            wilson = stats.binomtest(round(low * num_items), num_items).proportion_ci(
                LEVEL, method="wilson"
            )
            low, high = float(wilson.low), float(wilson.high)
        return Interval(value=self.value, low=low, high=high)

    @property
    def standard_error(self) -> float:
        """Of the value, as the middle two thirds of resampled ones tell it."""
        low, high = _ends(self._values, level=_ONE_DEVIATION)
        return float(high - low) / 2

    def minus(self, other: "Resampled") -> Interval:
        """By how much it exceeds another on the same items, and of each seed that both have."""
        if self.scores.seeds == other.scores.seeds:
            differences = Resampled(
                scores=self.scores,
                by_seed=self.by_seed - other.by_seed,
                drawn=self.drawn - other.drawn,
            )._values
        else:
            differences = self._values - other._values
        low, high = _ends(differences).tolist()
        return Interval(value=self.value - other.value, low=low, high=high)

    @cached_property
    def _values(self) -> Float[ndarray, " _"]:
        """The value of each resample under each weighting."""
        means = np.repeat(self.drawn.mean(1), WEIGHTINGS)
        if not self.scores.knows_seeds or not self.by_seed.var():
            return means
        by_chance = (self.drawn - self.drawn.mean(1, keepdims=True)).var(0).sum()
        spread = ((self.by_seed - self.by_seed.mean()) ** 2).sum()
        share = np.sqrt(max(0.0, 1 - by_chance / spread))
        values: ndarray = means + share * (_weights(self.scores.seeds, len(means)) @ self.by_seed)
        return values


_ONE_DEVIATION = 0.6827  # of a normal distribution


def resample(models: Sequence[Scores], *, num: int = RESAMPLES) -> list[Resampled]:
    """Draw as many of the items as there are, with replacement, `num` times.

    Args:
        models: of any arms, on the same items.
        num: of resamples.
    """
    gained = np.concatenate([each.gained for each in models]).astype(np.float64)
    # most tasks have one thing to gain of each item, whoever is asked
    possible, which = np.unique(
        np.concatenate([each.possible for each in models]).astype(np.float64),
        axis=0,
        return_inverse=True,
    )
    which, num_items = which.reshape(-1), gained.shape[1]
    stream = np.random.default_rng(rng.key("resampled items"))
    at_once = max(1, NUMBERS_AT_ONCE // num_items)
    drawn = []
    for start in range(0, num, at_once):
        size = min(at_once, num - start)
        counts = np.empty((size, num_items))
        for row in counts:
            row[:] = np.bincount(stream.integers(num_items, size=num_items), minlength=num_items)
        drawn.append(_ratio(counts @ gained.T, (counts @ possible.T)[:, which]))
    ratios = np.concatenate(drawn)
    values = _ratio(gained.sum(1), possible.sum(1)[which])
    found, first = [], 0
    for each in models:
        rows = slice(first, first + len(each.seeds))
        found.append(Resampled(scores=each, by_seed=values[rows], drawn=ratios[:, rows]))
        first = rows.stop
    return found


def _weights(seeds: tuple[int, ...], num: int) -> Float[ndarray, "R S"]:
    """Weights that add up to 0, of which any values make deviations with Student's distribution."""
    stream = np.random.default_rng(rng.key("weights of seeds", *seeds))
    weights: ndarray = stream.standard_normal((num, len(seeds)))
    weights -= weights.mean(1, keepdims=True)
    weights /= np.sqrt(len(seeds) * stream.chisquare(len(seeds) - 1, size=(num, 1)))
    return weights


def _ends(values: Float[ndarray, " R"], *, level: float = LEVEL) -> Float[ndarray, " 2"]:
    ends: ndarray = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return ends


def _ratio(gained: ndarray, possible: ndarray) -> ndarray:
    """What was gained of what was possible; 0 where nothing was."""
    found: ndarray = np.divide(gained, possible, out=np.zeros_like(gained), where=possible != 0)
    return found


@dataclass(frozen=True, kw_only=True)
class Chance:
    """How probable a difference at least as large is between arms that are alike."""

    p: float
    test: Literal["McNemar", "permutation"]


def paired_test(ours: Scores, theirs: Scores) -> Chance:
    """Two-sided: had the two arms' answers to each item been exchanged by a coin, would it matter?

    Where each item is right or wrong and each arm one model, this is McNemar's exact test (McNemar
    1947, Psychometrika 12), which needs no coin. Else the coin is thrown 4,999 times (Yeh 2000,
    https://arxiv.org/abs/cs/0008005), for all seeds of an item together: what it tells of is other
    items, not other seeds.
    """
    if ours.are_right_or_wrong and theirs.are_right_or_wrong:
        return Chance(p=_mcnemar(ours.gained[0], theirs.gained[0]), test="McNemar")
    return Chance(p=_permuted(ours, theirs), test="permutation")


def _mcnemar(ours: Float[ndarray, " N"], theirs: Float[ndarray, " N"]) -> float:
    won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _permuted(ours: Scores, theirs: Scores) -> float:
    """The share of exchanges that give such a difference, the observed one being one of them.

    Of the sums over seeds (Phipson & Smyth 2010, https://arxiv.org/abs/1603.05766, on counting the
    observed one). Items that are alike are exchanged together, by one binomial number: what
    `scipy.stats.permutation_test` does item by item takes minutes for 67,000 of them.
    """
    items = np.stack(
        [each.mean(0) for arm in (ours, theirs) for each in (arm.gained, arm.possible)], axis=1
    )
    totals = items.sum(0)
    kinds, counts = np.unique(items, axis=0, return_counts=True)
    moved = kinds[:, 2:] - kinds[:, :2]  # what an exchange brings to ours
    kinds_that_matter = (moved != 0).any(1)
    moved, counts = moved[kinds_that_matter], counts[kinds_that_matter]

    def difference(moved: Float[ndarray, "R 2"]) -> Float[ndarray, " R"]:
        one, other = totals[:2] + moved, totals[2:] - moved
        found: ndarray = _ratio(one[:, 0], one[:, 1]) - _ratio(other[:, 0], other[:, 1])
        return found

    observed = abs(float(difference(np.zeros((1, 2)))[0])) - 1e-12  # rounding makes no difference
    stream = np.random.default_rng(rng.key("exchanged answers"))
    at_once = max(1, NUMBERS_AT_ONCE // max(1, len(counts)))
    as_large = 1
    for start in range(0, PERMUTATIONS, at_once):
        size = min(at_once, PERMUTATIONS - start)
        exchanged = stream.binomial(counts, 0.5, size=(size, len(counts)))
        as_large += int((np.abs(difference(exchanged @ moved)) >= observed).sum())
    return as_large / (1 + PERMUTATIONS)
