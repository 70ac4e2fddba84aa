"""Means with their uncertainty, and the correction of p for many comparisons made at once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special

LEVEL = 0.95  # how often an interval holds the true mean
SIGNIFICANT = 0.05  # p of what is called a difference


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean, in the unit of its values, and its interval where something is known of its error."""

    mean: float
    low: float | None
    high: float | None
    num: int  # of values

    @property
    def half_width(self) -> float | None:
        """Return the number after the plus-minus sign."""
        return None if self.high is None else self.high - self.mean

    def overlaps(self, other: "Estimate") -> bool | None:
        """Tell whether the two intervals share a point; None where one of them is not known."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return None
        return self.low <= other.high and other.low <= self.high


def mean_interval(values: Iterable[float], *, level: float = LEVEL) -> Estimate:
    """Return the mean and its interval by Student's t (Student 1908, Biometrika 6).

    Args:
        values: independent of each other; at least one.
        level: how often such an interval holds the true mean, between 0 and 1.
    """
    given = np.asarray(list(values), dtype=np.float64)
    assert len(given) > 0
    mean = float(given.mean())
    if len(given) == 1 or not math.isfinite(mean):
        return Estimate(mean=mean, low=None, high=None, num=len(given))
    error = float(given.std(ddof=1)) / math.sqrt(len(given))
    half = float(special.stdtrit(len(given) - 1, (1 + level) / 2)) * error
    return Estimate(mean=mean, low=mean - half, high=mean + half, num=len(given))


def error_interval(value: float, error: float, num: int, *, level: float = LEVEL) -> Estimate:
    """Return one value and its interval, by its own standard error and Student's t.

    Args:
        value: of a set.
        error: its standard error, by what the set is made of.
        num: of what the set is made of, at least two.
        level: how often such an interval holds what an infinite set would give.
    """
    half = float(special.stdtrit(num - 1, (1 + level) / 2)) * error
    return Estimate(mean=value, low=value - half, high=value + half, num=1)


def sidak(p: float, num_comparisons: int) -> float:
    """Correct p for as many comparisons at once (Sidak 1967, J. Amer. Statistical Ass. 62).

    If none of them is a true difference, the chance that any corrected p is below 0.05 is
    at most 0.05, however they depend on each other. Unlike a correction by ranks (Holm
    1979) it depends on no other p, so that for two arms it is the same whichever others there are.

    Args:
        p: of one comparison, two-sided.
        num_comparisons: that are made at once, this one among them.
    """
    return -math.expm1(num_comparisons * math.log1p(-p)) if p < 1 else 1.0


def p_in_words(p: float) -> str:
    """Return a probability with three decimals, which is never 0 and stays on its side of 0.05."""
    if p < 0.001:
        return "<0.001"
    return f"{min(p, 0.049) if p < SIGNIFICANT else p:.3f}"
