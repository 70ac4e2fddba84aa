"""Whether other work on the machine slowed a run down, and how long it would have taken alone.

It compares the seconds that a step takes for each operation with the run's own best. Objectives
differ in what they use of a machine, and no speed that was measured beforehand holds for all, so a
run that was disturbed equally from its first step to its last is not detected.
"""

from collections.abc import Iterable

import numpy as np
from numpy import ndarray

from lmcompare.runs.records import MetricsLine

BEST = 0.1  # the quantile of seconds for each operation that is called the best
FAR = 2.0  # times the best: of a step that something else slowed down
MANY = 0.2  # the share of such steps from which a run is called disturbed
FEWEST = 20  # steps that say anything
LATELY = 20  # steps that are looked at during a run
RECENT = 1000  # steps that the best is then sought among


class Pace:
    """The speed of a run, step by step."""

    def __init__(self, lines: Iterable[MetricsLine] = ()) -> None:
        self._flops, self._seconds = [0.0], [0.0]  # up to the end of each step
        self._disturbed = False
        for line in lines:
            self._append(line)

    def _append(self, line: MetricsLine) -> None:
        self._flops.append(line.flops)
        self._seconds.append(line.seconds)

    def add(self, line: MetricsLine) -> bool:
        """Add a step; tell whether most of the last ones were far slower than the best."""
        self._append(line)
        if len(self._flops) <= FEWEST or len(self._flops) % LATELY:
            return self._disturbed
        flops, seconds = self._steps(last=RECENT)
        slow = _slow(seconds / flops)
        self._disturbed = bool(slow[-LATELY:].mean() > 0.5)
        return self._disturbed

    def _steps(self, last: int = 0) -> tuple[ndarray, ndarray]:
        flops, seconds = np.diff(self._flops[-last:]), np.diff(self._seconds[-last:])
        counts = flops > 0  # a step without a target costs next to nothing
        return flops[counts], seconds[counts]

    @property
    def undisturbed_seconds(self) -> float | None:
        """Return what a disturbed run would have taken alone; None if it was not disturbed.

        Its slow steps count at the median speed of the others.
        """
        flops, seconds = self._steps()
        slow = disturbed(seconds / flops)
        if not slow.any():
            return None
        usual = np.median(seconds[~slow] / flops[~slow])
        return float(seconds[~slow].sum() + usual * flops[slow].sum())


def disturbed(seconds: ndarray) -> ndarray:
    """Return which of some equal pieces of work something else slowed down.

    None counts as slowed down where they are few, or too few to say anything.

    Args:
        seconds: of each, N long.
    """
    slow = _slow(seconds) if len(seconds) >= FEWEST else np.zeros(len(seconds), dtype=bool)
    return slow if len(slow) and slow.mean() >= MANY else np.zeros(len(seconds), dtype=bool)


def _slow(seconds: ndarray) -> ndarray:
    slow: ndarray = seconds > FAR * np.quantile(seconds, BEST)
    return slow
