"""The curves of the common question, of those runs whose answers compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.summary.cells import ELSEWHERE, Cell
from lmcompare.errors import UserError
from lmcompare.evaluation.metric import Metric
from lmcompare.runs.common_question import given_to
from lmcompare.runs.curves import Axis, Curve, CurvePoint, Reached
from lmcompare.stats.intervals import mean_interval

NATS = Metric(name="common", unit="nats/token", lowest=0.0, better="lower")
CALLED: dict[Axis, str] = {
    "tokens": "tokens",
    "targets": "targets",
    "flops": "FLOPs",
    "seconds": "seconds",
}
SPENT: dict[Axis, Metric] = {
    axis: Metric(
        name=f"{axis}_to_quality",
        unit="operations" if axis == "flops" else axis,
        better="lower",
        pattern="short",
    )
    for axis in CALLED
}
NEVER_LOGGED = "trained before the common question was logged: `{}` asks a like one"
FROM_THE_LEFT = "answers from what stands before the token alone"
UNLIKE = "asked about another text or by another tokenizer, so that it does not compare"
UNKNOWN = "started from weights of which it is not known what was spent on them"
SLOWED = "other work on the machine slowed it down"


@dataclass(frozen=True, kw_only=True)
class CommonCurves:
    """The curves of some runs.

    Attributes:
        results: the runs.
        wanted: the quality that a user wants to see reached, nats a token; None for the worst end.
    """

    results: Sequence[Result]
    wanted: float | None = None

    @cached_property
    def logged(self) -> dict[Path, Curve]:
        """Return the curves of those runs that logged the question, and were asked the same.

        Of several questions, the one that most runs were asked, and of these the first.
        """
        asked: dict[tuple[object, ...], dict[Path, Curve]] = {}
        for result in self.results:
            if (
                _spent_is_known(result)
                and isinstance(curve := result.curve, Curve)
                and curve.points()
            ):
                asked.setdefault(curve.question, {})[result.run.path] = curve
        return max(asked.values(), key=len, default={})

    def of(self, result: Result) -> Curve | None:
        """Return the curve of a run; None where it has none that compares."""
        return self.logged.get(result.run.path)

    def why_none(self, result: Result, command: str) -> str:
        """Return why a run has no curve that compares; the command asks it a like question."""
        curve = result.curve
        if result.record.imported is not None:
            return ELSEWHERE
        if isinstance(curve, UserError):
            return str(curve)
        if not _spent_is_known(result):
            return UNKNOWN
        return UNLIKE if curve.points() else NEVER_LOGGED.format(command)

    @cached_property
    def quality(self) -> float | None:
        """Return the quality that is to be reached; None where no question was logged."""
        ends = [curve.points()[-1].value for curve in self.logged.values()]
        if self.wanted is not None or not ends:
            return self.wanted if ends else None
        return max(ends)

    def reached_by_all(self, axis: Axis) -> float | None:
        """Return the largest amount that all of these runs spent."""
        ends = [curve.points()[-1].on(axis) for curve in self.logged.values()]
        return min(ends) if ends else None

    def answers(self, arm: Arm, axis: Axis, amount: float, command: str) -> Cell:
        """Return what an arm made of the question when so much had been spent."""
        curves = [each for each in map(self.of, arm.results) if each is not None]
        if not curves:
            return Cell(why=self.why_none(arm.results[0], command))
        values = [each.at(amount, axis) for each in curves]
        known = [each for each in values if each is not None]
        if not known:
            return Cell(why="first asked when more had been spent")
        return Cell.of(NATS, mean_interval(known), why=_remarks(curves))

    def spent(self, arm: Arm, axis: Axis, command: str) -> Cell:
        """Return what an arm spent till it reached the quality."""
        found = [(result, each) for result in arm.results if (each := self.of(result)) is not None]
        if not found or self.quality is None:
            return Cell(why=self.why_none(arm.results[0], command))
        reached = [each.reach(self.quality, axis) for _, each in found]
        amounts = [
            each.spent if isinstance(each, Reached) else _last(curve).on(axis)
            for each, (_, curve) in zip(reached, found, strict=True)
        ]
        slowed = axis == "seconds" and any(
            result.undisturbed_seconds is not None for result, _ in found
        )
        remarks = "; ".join(
            filter(None, [_remarks([each for _, each in found]), SLOWED if slowed else ""])
        )
        metric, missed = SPENT[axis], [each for each in reached if not isinstance(each, Reached)]
        if missed:
            bound = mean_interval(amounts).mean
            some = "not" if len(missed) == len(found) else f"{len(missed)} of {len(found)} not"
            return Cell(shown=f">={metric.shown(bound)}, {some} reached", low=bound, why=remarks)
        first = any(isinstance(each, Reached) and each.at_most for each in reached)
        return Cell.of(metric, mean_interval(amounts), sign="≤" if first else "", why=remarks)


def _spent_is_known(result: Result) -> bool:
    start = result.record.start
    return start is None or start.spent is not None


def _last(curve: Curve) -> CurvePoint:
    return curve.points()[-1]


def _remarks(curves: Sequence[Curve]) -> str:
    if any(each.given == "left" for each in curves):
        return FROM_THE_LEFT
    phases = (phase for each in curves for phase in each.record.config.phases)
    if any(given_to(phase.objective) == "left" for phase in phases):
        return f"an earlier phase {FROM_THE_LEFT}"
    return ""
