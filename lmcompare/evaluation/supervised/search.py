"""How settings are searched: the same for all models, and for each as it started.

The best has the highest score on the validation examples; of equals, the lower loss there; of these
the one that was tried first. No margin is asked for, so that between settings which differ by less
than the noise of the validation examples chance decides: all scores are kept beside the chosen one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lmcompare.evaluation.tasks.record import Trial

Kept = TypeVar("Kept")


@dataclass
class Search(Generic[Kept]):
    """What was tried, and what is kept of the best.

    Attributes:
        trials: in the order in which they were tried.
        best: one of them.
        kept: what it left; of the others nothing is held.
    """

    trials: list[Trial]
    best: Trial
    kept: Kept

    @staticmethod
    def of(trial: Trial, kept: Kept) -> "Search[Kept]":
        """Begin with the first one."""
        return Search([trial], trial, kept)

    def add(self, other: "Search[Kept]") -> None:
        """Take in what was tried after this."""
        self.trials += other.trials
        if _merit(other.best) > _merit(self.best):
            self.best, self.kept = other.best, other.kept

    def choose(self, final: Trial) -> list[Trial]:
        """Return all trials, the best one being marked and told as it turned out in the end."""
        chosen = final.model_copy(update={"chosen": True})
        trials = [chosen if each is self.best else each for each in self.trials]
        self.best = chosen
        return trials


def widen(
    ladder: Sequence[float],
    attempt: Callable[[float], Search[Kept]],
    *,
    middle: Search[Kept] | None = None,
) -> Search[Kept]:
    """Try the three rungs in the middle of a ladder, and go on while the best is the last one.

    Args:
        ladder: values in rising order; a best one at its end is at the edge.
        attempt: tries one.
        middle: what the rung in the middle gave, where that was tried before.
    """
    center = len(ladder) // 2
    search = attempt(ladder[center]) if middle is None else middle
    best, low, high = center, center, center
    wanted = [center - 1, center + 1]
    while wanted:
        for rung in wanted:
            if 0 <= rung < len(ladder):
                before = search.best
                search.add(attempt(ladder[rung]))
                best = best if search.best is before else rung
                low, high = min(low, rung), max(high, rung)
        wanted = [
            beyond
            for edge, beyond in ((low, low - 1), (high, high + 1))
            if best == edge and 0 <= beyond < len(ladder)
        ]
    return search


def _merit(trial: Trial) -> tuple[float, float]:
    return trial.validation, -trial.loss
