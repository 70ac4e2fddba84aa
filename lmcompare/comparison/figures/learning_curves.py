"""Learning curves: benchmarks at several checkpoints, against what training had spent by then."""

from collections.abc import Sequence
from dataclasses import dataclass

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.figures.drawing import looks, name_of, style, written
from lmcompare.comparison.tables.task_results import (
    about_task,
    examples_of,
    fresh,
    most_asked,
)
from lmcompare.config.budget import Spent
from lmcompare.evaluation.tasks.record import TaskRecord

SPENT = {  # what there is on the horizontal axes, and its heading
    "tokens": "tokens read",
    "targets": "targets predicted",
    "flops": "FLOPs",
    "seconds": "seconds of training",
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """Say of a model that trains what had been spent on it, and how well it did."""

    spent: Spent
    value: float


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Hold how one run went, from its start if that was asked."""

    label: str  # of the arm
    objective: str
    seed: int
    points: Sequence[Point]


@dataclass(frozen=True, kw_only=True)
class LearningCurves:
    """Hold the lines of all runs in one benchmark, asked by one protocol."""

    task: str
    protocol: str
    metric: str
    chance: float | None
    lines: Sequence[LearningCurve]

    @property
    def name(self) -> str:
        """Return the name of a file for it."""
        return self.task if self.protocol == "asked" else f"{self.task}-{self.protocol}"


def learning_curves(arms: Sequence[Arm]) -> list[LearningCurves]:
    """Return those of runs that were asked at two checkpoints or more."""
    results = [result for arm in arms for result in arm.results]
    records = [record for result in results for record in result.of(TaskRecord)]
    found = []
    for about in sorted({about_task(record) for result in results for record in fresh(result)}):
        examples = most_asked(arms, about)
        of_task = [
            record
            for record in records
            if (about_task(record), examples_of(record)) == (about, examples)
        ]
        lines = [
            LearningCurve(
                label=arm.label,
                objective=result.record.config.objective.name,
                seed=result.seed,
                points=points,
            )
            for arm in arms
            for result in arm.results
            if (points := _points(result, {record.stem for record in of_task}))
        ]
        if lines:
            found.append(
                LearningCurves(
                    task=about.task,
                    protocol=about.protocol,
                    metric=of_task[0].metric,
                    chance=of_task[0].chance,
                    lines=lines,
                )
            )
    return found


def _points(result: Result, stems: set[str]) -> list[Point]:
    """Return those of one run; none where it was not asked on its way."""
    own = sorted(
        (record for record in result.of(TaskRecord) if record.stem in stems),
        key=lambda each: each.step,
    )
    if sum(not record.is_untrained for record in own) < 2:
        return []
    return [
        Point(spent=result.in_all(record.spent) or record.spent, value=record.value)
        for record in own
        if record.value is not None
    ]


def draw(curves: LearningCurves, *, format: str = "svg") -> bytes:
    """Draw a line a run, a panel for each thing that is spent; the same bytes each time.

    Args:
        curves: of one benchmark.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(10, 7), layout="constrained")
        panels = figure.subplots(2, 2, sharey=True).flatten()
        drawn_as = looks({line.label: line.objective for line in curves.lines})
        for axes, (unit, heading) in zip(panels, SPENT.items(), strict=True):
            for line in curves.lines:
                axes.plot(
                    [getattr(point.spent, unit) for point in line.points],
                    [100 * point.value for point in line.points],
                    **drawn_as[line.label].plotted,
                    markersize=4,
                    alpha=0.7,
                )
            if curves.chance is not None:
                axes.axhline(100 * curves.chance, color="black", linestyle=":", linewidth=1)
            axes.set_xlabel(heading)
            axes.grid(alpha=0.3)
        for axes in panels[::2]:
            axes.set_ylabel(f"{curves.metric}, percent")
        figure.suptitle(f"{name_of(curves.name)}: a line for each run, dotted what chance gives")
        handles = [panels[0].plot([], [], **look.plotted)[0] for look in drawn_as.values()]
        figure.legend(handles, [*map(name_of, drawn_as)], loc="outside right center", frameon=False)
        return written(figure, format)
