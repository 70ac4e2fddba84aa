"""Intervals of shares and of their differences, without resampling.

They serve tables of many shares, and pairs: a probe and its control task, two layers of a model, a
head and an offset. Of each item and each seed there is one difference, so that it alone is what
varies. The variances over items and over seeds are added up, as
`lmcompare.stats.significance.estimate` has it.
"""

from dataclasses import replace

from lmcompare.stats.intervals import Estimate
from lmcompare.stats.paired_bootstrap import Interval, Scores, ends_of_all_or_nothing
from lmcompare.stats.significance import estimate


def share(scores: Scores) -> Interval:
    """Return a mean share with its 95% interval, over items and seeds, without resampling.

    Where all was gained of all items, or nothing, it is Wilson's, as in `paired_bootstrap`.
    """
    found = estimate(scores)
    if found.mean in (0.0, 1.0):
        low, high = ends_of_all_or_nothing(found.mean, int(scores.max_score.any(0).sum()))
        return Interval(value=found.mean, low=low, high=high)
    return _within(found, lowest=0.0)


def paired_difference(ours: Scores, theirs: Scores) -> Interval:
    """Return the mean difference of shares with its 95% interval, over items and seeds.

    Args:
        ours: what the models gained in one way.
        theirs: what the same models gained of the same items in another way.
    """
    assert ours.seeds == theirs.seeds
    found = estimate(replace(ours, score=ours.score - theirs.score))
    return _within(found, lowest=-1.0)


def _within(found: Estimate, *, lowest: float) -> Interval:
    """Return an interval no wider than what there can be; of one item nothing is known."""
    if found.low is None or found.high is None:
        return Interval(value=found.mean, low=lowest, high=1.0)
    return Interval(value=found.mean, low=max(lowest, found.low), high=min(1.0, found.high))
