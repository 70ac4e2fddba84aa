"""What a training run reports, to a terminal or a log."""

from collections.abc import Callable
from dataclasses import dataclass

from lmcompare.runs.records import MetricsLine


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something a user wants to know, once."""

    text: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A step is done."""

    line: MetricsLine
    share: float  # of the budget, 0 to 1
    tokens_per_second: float
    seconds_left: float
    utilisation: float  # of the rate at which this machine multiplies matrices, 0 to 1
    disturbed: bool = False  # steps have lately been far slower than the run's best


Report = Callable[[Message | Progress], None]


class Interrupted(Exception):
    """Training was asked to stop, and has saved a checkpoint."""
