"""What a run had learned, step by step, and what had been spent on it by then."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from lmcompare.config.budget import Spent
from lmcompare.config.phases import Phase
from lmcompare.runs.common_question import TEXTS_A_BLOCK, given_to, length_of, scoring_of
from lmcompare.runs.records import MetricsLine, RunRecord
from lmcompare.runs.run import Run, State

# What can be spent, and what can be learned, in nats, the less the better: `common` of a hidden
# token, the same for every objective; the others of a target of the objective.
Axis = Literal["tokens", "targets", "flops", "seconds"]
LearnedMetric = Literal["common", "validation", "loss"]
AXES: tuple[Axis, ...] = get_args(Axis)
METRICS: tuple[LearnedMetric, ...] = get_args(LearnedMetric)
LOGGED: tuple[LearnedMetric, ...] = ("common", "validation")

STRETCHES = 100  # in which the loss of training is averaged, at most


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A value, and what had been spent when it was measured.

    Attributes:
        spent: in all: on the weights that the run started from, too.
        value: of the metric.
        phase: of the run, whose objective it was measured by.
    """

    spent: Spent
    value: float
    phase: int = 1

    def on(self, axis: Axis) -> float:
        """Return how much of something had been spent."""
        return float(getattr(self.spent, axis))


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A quality was reached.

    Attributes:
        spent: how much when it was first reached.
        at_most: it was reached by the first point already, so it may have been earlier.
    """

    spent: float
    at_most: bool = False


@dataclass(frozen=True, kw_only=True)
class NotReached:
    """A quality was not reached; `last` is the value at the end, None where none was logged."""

    last: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class StepLosses:
    """The loss of training, step by step.

    Attributes:
        step: which step it was.
        targets: predicted in it.
        loss: their mean, nats a target.
    """

    step: Int[np.ndarray, " N"]
    targets: Int[np.ndarray, " N"]
    loss: Float[np.ndarray, " N"]

    @staticmethod
    def of(lines: Sequence[MetricsLine]) -> "StepLosses":
        """Return those of all steps that were logged."""
        return StepLosses(
            step=np.array([line.step for line in lines], dtype=np.int64),
            targets=np.diff(np.array([line.targets for line in lines], dtype=np.int64), prepend=0),
            loss=np.array([line.loss for line in lines], dtype=np.float64),
        )


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The curve of a run.

    Attributes:
        run: the run.
        record: what it is.
        state: where it stood when it was read; all but finished ones may go on.
        values: the points of each metric, in order; none where a run did not log it. Where a phase
            begins there may be two: by the objective before, and by the one that takes over.
        losses: of every step.
    """

    run: Run
    record: RunRecord
    state: State
    values: Mapping[LearnedMetric, Sequence[CurvePoint]] = field(repr=False)
    losses: StepLosses = field(repr=False)

    @property
    def finished(self) -> bool:
        """Tell whether the run was complete."""
        return self.state == "finished"

    @property
    def scoring(self) -> str | None:
        """Return the scoring by which its objective answers the common question."""
        return scoring_of(self.record.config.objective)

    @property
    def given(self) -> Literal["left", "both"] | None:
        """Say which side of a hidden token the answers to the common question make use of."""
        return given_to(self.record.config.objective)

    @property
    def question(self) -> tuple[object, ...]:
        """Return what is equal for runs that were asked for the same hidden tokens of a text.

        Only then does `common` compare.
        """
        config, sheet = self.record.config, self.record.sheet
        num_texts = TEXTS_A_BLOCK * config.validation.blocks
        return sheet.text, sheet.tokenizer, self.record.text_hash, length_of(config), num_texts

    def points(self, metric: LearnedMetric = "common") -> Sequence[CurvePoint]:
        """Return the points of a metric that mean one thing; none where the run did not log it.

        The common question is the same in all phases, a loss is that of the last phase.
        """
        found, last = self.values[metric], len(self.record.config.phases)
        return found if metric == "common" else [each for each in found if each.phase == last]

    def parts(self, metric: LearnedMetric) -> list[tuple[Phase, Sequence[CurvePoint]]]:
        """Return the points of a metric in every phase that has any."""
        found: dict[int, list[CurvePoint]] = {}
        for each in self.values[metric]:
            found.setdefault(each.phase, []).append(each)
        return [(self.record.config.phases[number - 1], own) for number, own in found.items()]

    def share(self, point: CurvePoint) -> float:
        """Return which share of the run's budget was spent at a point, 0 to 1."""
        budget = self.record.config.budget
        return min(1.0, budget.progress(point.spent) - budget.progress(_before(self.record)))

    def reach(
        self, quality: float, axis: Axis, metric: LearnedMetric = "common"
    ) -> Reached | NotReached:
        """Tell how much had been spent when a quality was first reached.

        Between two points the value is taken to fall in a straight line over the logarithm of what
        is spent, as losses nearly do. Nothing is said beyond the points.

        Args:
            quality: a value of the metric; one that is lower or equal reaches it.
            axis: what is spent.
            metric: of which quality.
        """
        points = self.points(metric)
        if not points:
            return NotReached(last=None)
        if points[0].value <= quality:
            return Reached(spent=points[0].on(axis), at_most=True)
        for before, after in pairwise(points):
            if after.value <= quality:
                share = (before.value - quality) / (before.value - after.value)
                return Reached(spent=_between(before.on(axis), after.on(axis), share))
        return NotReached(last=points[-1].value)

    def at(self, amount: float, axis: Axis, metric: LearnedMetric = "common") -> float | None:
        """Return the value when so much had been spent, as `reach` does; None beyond the points."""
        points = [(point.on(axis), point.value) for point in self.points(metric)]
        if points and points[-1][0] == amount:
            return points[-1][1]
        for (start, before), (stop, after) in pairwise(points):
            if start <= amount <= stop:
                return before + (after - before) * _share(start, stop, amount)
        return None


def read_curve(run: Run) -> Curve:
    """Read the curve of a run, as far as it is.

    Raises:
        UserError: no run there, or one whose files are damaged.
    """
    record, state = run.record(), run.state()
    lines = list(run.metrics())
    losses = StepLosses.of(lines)
    before = _before(record)
    return Curve(
        run=run,
        record=record,
        state=state,
        values={
            **{name: [*_logged(lines, name, before)] for name in LOGGED},
            "loss": [*_averaged(losses, lines, before)],
        },
        losses=losses,
    )


def _before(record: RunRecord) -> Spent:
    """Return what was spent on the weights that a run started from, as far as it is known."""
    return (record.start and record.start.spent) or Spent()


def _logged(
    lines: Sequence[MetricsLine], metric: LearnedMetric, before: Spent
) -> Iterator[CurvePoint]:
    last = None
    for line in lines:
        taken_over, value = getattr(line, f"{metric}_before"), getattr(line, metric)
        if taken_over is not None:
            yield _point(line, last.spent if last else Spent(), before, taken_over)
        if value is not None:
            yield _point(line, line.spent, before, value)
        last = line


def _point(line: MetricsLine, spent: Spent, before: Spent, value: float) -> CurvePoint:
    return CurvePoint(spent=before.plus(spent), value=value, phase=line.phase or 1)


def _averaged(
    losses: StepLosses, lines: Sequence[MetricsLine], before: Spent
) -> Iterator[CurvePoint]:
    """Yield the mean loss over the targets of each stretch of steps, at its end.

    That of one step is mostly its batch's. No stretch reaches from one phase into the next.
    """
    if not lines:
        return
    ends = np.linspace(0, len(lines), min(STRETCHES, len(lines)) + 1).astype(int)
    phases = np.array([line.phase or 1 for line in lines])
    ends = np.union1d(ends, np.flatnonzero(np.diff(phases)) + 1)
    summed = np.stack([losses.loss * losses.targets, losses.targets])
    sums = np.add.reduceat(summed, ends[:-1], axis=1)
    for end, total, num in zip(ends[1:], *sums, strict=True):
        if num:
            line = lines[end - 1]
            yield _point(line, line.spent, before, float(total / num))


def _share(start: float, stop: float, amount: float) -> float:
    """Return where an amount is on the way between two, over their logarithms."""
    if stop == start:
        return 1.0
    if start <= 0:
        return (amount - start) / (stop - start)
    return math.log(amount / start) / math.log(stop / start)


def _between(start: float, stop: float, share: float) -> float:
    """Return the number at a share of the way between two, over their logarithms."""
    if start <= 0:
        return start + share * (stop - start)
    return math.exp(math.log(start) + share * (math.log(stop) - math.log(start)))
