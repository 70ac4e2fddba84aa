"""Does one arm do better than another? One test, in which items and seeds are both random.

The difference of two arms' values has two sources of error, and their variances add up. That of the
items is what it has if a coin exchanged the arms' answers to each item. That of the seeds
is the variance between the values of an arm's models, less what it has because each model answers
a number of items by chance, which the items' variance includes already.

Three seeds tell little of an arm's spread over seeds, and those of all arms of a table much, unless
the spreads of arms differ. So a difference must stand out twice: by the spread of all arms
together, corrected for all comparisons of the table (Sidak 1967, Journal of the American
Statistical Association 62), and by the spread of its own two arms (Welch 1947, Biometrika 34). p is
the larger one, the interval the wider one, and the interval is without 0 exactly where p is below
0.05.

docs/statistics.md says how often that is wrong, and what it finds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import special

from lmcompare.stats.intervals import LEVEL, SIGNIFICANT, Estimate, sidak
from lmcompare.stats.paired_bootstrap import Interval, Scores

NORMAL = 1e9  # degrees of freedom: the variance under exchanges is known, not estimated
PSEUDO_ITEMS = 2  # one won and one lost, so that no difference is certain


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much the values of models vary that differ in their seed alone."""

    variance: float
    degrees: float  # of freedom


@dataclass(frozen=True, kw_only=True)
class Error:
    """What a difference must stand out from: its variance if the arms are equal."""

    variance: float
    degrees: float = NORMAL  # of freedom

    def p(self, value: float) -> float:
        """Return how probable a difference at least as large is, by Student's t; two-sided."""
        if value == 0:
            return 1.0
        return 2 * float(special.stdtr(self.degrees, -abs(value) / self.variance**0.5))

    def half_width(self, value: float, num_items: int, level: float) -> float:
        """Return half the width of the interval of all true differences that the test keeps.

        The farther a true difference is from 0, the less of the items' variance about 0 is left.
        """
        times = float(special.stdtrit(self.degrees, (1 + level) / 2)) ** 2
        if times >= num_items:
            return float("inf")
        rest = max(0.0, self.variance - value**2 / num_items)
        return float((times * rest / (1 - times / num_items)) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much an arm's value exceeds another's on the same items, and how sure that is.

    With the arms exchanged it is the same but for its sign.

    Attributes:
        value: ours minus theirs.
        test: what was random: the items (by McNemar's exact test where it applies), or both.
        num_items: that both were asked.
        own: by the spread of these two arms.
        pooled: by the spread of all arms of the table; None where items alone are random.
        exact: p of McNemar's test, where it applies.
    """

    value: float
    test: Literal["McNemar", "items", "items and seeds"]
    num_items: int
    own: Error
    pooled: Error | None = None
    exact: float | None = None

    def p(self, num_comparisons: int = 1) -> float:
        """Return how probable one such difference is among these comparisons, if arms are equal."""
        if self.exact is not None:
            return sidak(self.exact, num_comparisons)
        own = self.own.p(self.value)
        if self.pooled is None:
            return sidak(own, num_comparisons)
        return max(own, sidak(self.pooled.p(self.value), num_comparisons))

    def interval(self, num_comparisons: int = 1, *, largest: float = 1.0) -> Interval:
        """Return the interval of the true difference; all hold at once as often as `LEVEL` says.

        Args:
            num_comparisons: that are made at once.
            largest: difference that is possible.
        """
        each = LEVEL ** (1 / num_comparisons)
        if self.pooled is None:
            half = self.own.half_width(self.value, self.num_items, each)
        else:
            half = max(
                self.own.half_width(self.value, self.num_items, LEVEL),
                self.pooled.half_width(self.value, self.num_items, each),
            )
        if self.exact is not None and (self.p(num_comparisons) < SIGNIFICANT) != (
            half < abs(self.value)
        ):  # as wide as the exact test implies
            half = abs(self.value) * special.ndtri((1 + each) / 2) / -special.ndtri(self.exact / 2)
        low, high = np.clip([self.value - half, self.value + half], -largest, largest).tolist()
        return Interval(value=self.value, low=low, high=high)


def pooled_spread(arms: Sequence[Scores]) -> Spread | None:
    """Return the spread over seeds that arms share; None if none has enough seeds to tell.

    Args:
        arms: that were asked the same items.
    """
    known = [(_values(arm).var(ddof=1), len(arm.seeds) - 1) for arm in arms if arm.knows_seeds]
    if not known:
        return None
    degrees = sum(each for _, each in known)
    return Spread(
        variance=float(sum(variance * each for variance, each in known)) / degrees, degrees=degrees
    )


def difference(ours: Scores, theirs: Scores, *, pooled: Spread | None = None) -> Difference:
    """Test the difference of two arms.

    Where one of them has fewer than three seeds, its spread is not known: then the items alone are
    random, and what is found holds for these models only. Where each is one model and each item
    right or wrong, that is McNemar's exact test (McNemar 1947, Psychometrika 12).

    Args:
        ours: of some items.
        theirs: of the same items.
        pooled: the spread of all arms that these two are compared among; by default these two.
    """
    one, two = _Moments.of(ours), _Moments.of(theirs)
    value, num_items = one.value - two.value, len(one.items)
    squares = float(((value + (one.items - two.items)) ** 2).sum())
    num_differ = _num_differ(ours, theirs)
    # as if two more items differed, by as much as those that do
    squares = squares * (1 + PSEUDO_ITEMS / num_differ) if num_differ else float(PSEUDO_ITEMS)
    items = Error(variance=squares / num_items**2)
    if not (ours.knows_seeds and theirs.knows_seeds):
        if ours.are_right_or_wrong and theirs.are_right_or_wrong:
            exact = _mcnemar(ours.score[0], theirs.score[0])
            return Difference(
                value=value, test="McNemar", num_items=num_items, own=items, exact=exact
            )
        return Difference(value=value, test="items", num_items=num_items, own=items)
    by_chance = one.by_chance / one.num_seeds + two.by_chance / two.num_seeds

    def error(spread: float, degrees: float) -> Error:
        variance = items.variance + max(0.0, spread - by_chance)
        return Error(variance=variance, degrees=degrees)

    own = _welch(one, two)
    pooled = pooled or pooled_spread([ours, theirs])
    assert pooled is not None
    return Difference(
        value=value,
        test="items and seeds",
        num_items=num_items,
        own=error(own.variance, own.degrees),
        pooled=error(pooled.variance * (1 / one.num_seeds + 1 / two.num_seeds), pooled.degrees),
    )


def estimate(arm: Scores) -> Estimate:
    """Return an arm's value with its 95% interval over items and, from three seeds, over seeds.

    It takes the same variances as a difference does, and serves values that are not shares of 1.
    """
    moments = _Moments.of(arm)
    num_items, num_seeds = len(moments.items), moments.num_seeds
    items = error_of_items(arm) ** 2
    seeds = 0.0
    parts = [items**2 / max(1, num_items - 1)]
    if arm.knows_seeds:
        seeds = max(0.0, moments.spread - moments.by_chance) / num_seeds
        parts.append((moments.spread / num_seeds) ** 2 / (num_seeds - 1))
    variance = items + seeds
    if num_items == 1 and not arm.knows_seeds:
        return Estimate(mean=moments.value, low=None, high=None, num=num_seeds)
    # Satterthwaite 1946, Biometrics Bulletin 2
    degrees = max(1.0, variance**2 / sum(parts)) if variance else 1.0
    half = float(special.stdtrit(degrees, (1 + LEVEL) / 2)) * variance**0.5
    return Estimate(
        mean=moments.value, low=moments.value - half, high=moments.value + half, num=num_seeds
    )


def error_of_items(arm: Scores) -> float:
    """Return the standard error of an arm's value over items, for these models."""
    items = _Moments.of(arm).items
    return float((items.var() / max(1, len(items) - 1)) ** 0.5)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Moments:
    """What the test knows of an arm.

    Attributes:
        value: the mean of its seeds' values.
        spread: the variance between its seeds' values; 0 of one seed.
        by_chance: the part of it that comes from different answers to the same items.
        items: what each adds to the value, by how far it is off; their sum is 0.
    """

    num_seeds: int
    value: float
    spread: float
    by_chance: float
    items: Float[ndarray, " N"]

    @staticmethod
    def of(arm: Scores) -> "_Moments":
        values, num_seeds = _values(arm), len(arm.seeds)
        # a ratio's linear part, as by the delta method
        mean_max_score = arm.max_score.mean(1, keepdims=True)
        off = arm.score - values[:, None] * arm.max_score
        off = np.divide(off, mean_max_score, out=np.zeros_like(off), where=mean_max_score != 0)
        num_items = off.shape[1]
        spread = by_chance = 0.0
        if num_seeds > 1:
            spread = float(values.var(ddof=1))
            by_chance = float(off.var(0, ddof=1).mean()) / max(1, num_items - 1)
        return _Moments(
            num_seeds=num_seeds,
            value=float(values.mean()),
            spread=spread,
            by_chance=by_chance,
            items=off.mean(0),
        )


def _values(arm: Scores) -> Float[ndarray, " S"]:
    """Return what each model gained as a share of what was possible; 0 where nothing was."""
    score, max_score = arm.score.sum(1, dtype=np.float64), arm.max_score.sum(1, dtype=np.float64)
    found: ndarray = np.divide(score, max_score, out=np.zeros_like(score), where=max_score != 0)
    return found


def _num_differ(ours: Scores, theirs: Scores) -> int:
    """Count the items on which the arms differ, by the means of their seeds."""
    score, max_score = (
        np.isclose(one.mean(0), two.mean(0), rtol=1e-12, atol=1e-12)
        for one, two in ((ours.score, theirs.score), (ours.max_score, theirs.max_score))
    )
    return int((~(score & max_score)).sum())


def _welch(one: _Moments, two: _Moments) -> Spread:
    """Return the variance of the difference of two means, and its degrees of freedom."""
    shares = [each.spread / each.num_seeds for each in (one, two)]
    variance = sum(shares)
    if not variance:
        return Spread(variance=0.0, degrees=one.num_seeds + two.num_seeds - 2)
    parts = (
        share**2 / (each.num_seeds - 1) for share, each in zip(shares, (one, two), strict=True)
    )
    return Spread(variance=variance, degrees=variance**2 / sum(parts))


def _mcnemar(ours: Float[ndarray, " N"], theirs: Float[ndarray, " N"]) -> float:
    won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    if not won + lost:
        return 1.0
    from scipy.stats import binomtest  # most tables do without it, and it is slow to import

    return float(binomtest(won, won + lost).pvalue)
