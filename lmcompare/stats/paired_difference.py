"""By how much the same models gain more in one way than in another, on the same items.

A probe and its control task, or two layers of a model, are pairs: of each item and each seed there
is one difference. So what varies is that difference alone, over items and over seeds, and both
variances are added up, as `lmcompare.stats.significance.estimate` has it.
"""

from dataclasses import replace

from lmcompare.stats.paired_bootstrap import Interval, Scores
from lmcompare.stats.significance import estimate


def paired_difference(ours: Scores, theirs: Scores) -> Interval:
    """Return the mean difference of shares with its 95% interval, over items and seeds.

    Args:
        ours: what the models gained in one way.
        theirs: what the same models gained of the same items in another way.
    """
    assert ours.seeds == theirs.seeds
    found = estimate(replace(ours, score=ours.score - theirs.score))
    if found.low is None or found.high is None:  # of one item nothing is known
        return Interval(value=found.mean, low=-1.0, high=1.0)
    return Interval(value=found.mean, low=max(-1.0, found.low), high=min(1.0, found.high))
