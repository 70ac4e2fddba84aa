"""How much of what it reads an objective is trained by."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from lmcompare.comparison.arms import Result
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import SummaryRow, share_of
from lmcompare.evaluation.metric import Metric

PREDICTED = Metric(name="targets_per_token", unit="targets/token", pattern=".1%")
TARGETS = Metric(name="targets_per_second", unit="targets/second", better="higher", pattern="short")
USED = share_of("machine_used")


class TrainingSignal(Aspect):
    """The share of tokens that are predicted, and how many of them a second."""

    name: ClassVar[str] = "Training signal"
    about: ClassVar[str] = "how much of what it reads it has to predict"

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        return [
            SummaryRow(
                heading="tokens predicted",
                metric=PREDICTED,
                cells=given.over_seeds(PREDICTED, _predicted, why="no token was read"),
            ),
            SummaryRow(
                heading="targets/second",
                metric=TARGETS,
                cells=given.over_seeds(TARGETS, _targets_a_second, why="its time is not known"),
            ),
        ]

    def files(self, result: Result) -> Iterator[Path]:
        yield ending(result)


def ending(result: Result) -> Path:
    """Return the file that says what a run took."""
    return result.run.done_file if result.finished else result.run.metrics_file


def seconds_of(result: Result) -> float:
    """Return how long a run trained, without what other work on the machine added."""
    undisturbed = result.undisturbed_seconds
    return result.spent.seconds if undisturbed is None else undisturbed


def share_of_machine(result: Result) -> float | None:
    """Return the operations of training as a share of those that the machine multiplies alone."""
    possible = seconds_of(result) * result.record.matmul_rate
    return result.spent.flops / possible if possible else None


def _predicted(result: Result) -> float | None:
    return result.spent.targets / result.spent.tokens if result.spent.tokens else None


def _targets_a_second(result: Result) -> float | None:
    seconds = seconds_of(result)
    return result.spent.targets / seconds if seconds else None
