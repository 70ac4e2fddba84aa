"""Curves of training: what was learned, against what had been spent by then."""

from collections.abc import Mapping, Sequence

from lmcompare.comparison.arms import Arm
from lmcompare.comparison.figures.drawing import looks, name_of, style, written
from lmcompare.comparison.figures.learning_curves import SPENT
from lmcompare.evaluation.metric import short
from lmcompare.runs.curves import Axis, Curve, LearnedMetric

WHAT: dict[LearnedMetric, str] = {  # on the vertical axis
    "common": "nats a hidden token, the same for all",
    "validation": "nats a target, of each objective its own",
    "loss": "nats a target of training, of each objective its own",
}


def curves_of(arms: Sequence[Arm]) -> dict[str, list[Curve]]:
    """Return the curves of each arm's runs; none of a run whose metrics cannot be read."""
    return {
        arm.label: [each for result in arm.results if isinstance(each := result.curve, Curve)]
        for arm in arms
    }


def with_points(
    curves: Mapping[str, Sequence[Curve]], metric: LearnedMetric
) -> dict[str, list[Curve]]:
    """Return those curves that have two points or more of a metric."""
    found = {
        label: [each for each in own if len(each.points(metric)) > 1]
        for label, own in curves.items()
    }
    return {label: own for label, own in found.items() if own}


def draw(
    curves: Mapping[str, Sequence[Curve]],
    metric: LearnedMetric,
    axis: Axis,
    *,
    format: str = "svg",
) -> bytes:
    """Draw a line for each phase of a run; the seeds of an arm look alike.

    Args:
        curves: of each arm.
        metric: what was learned.
        axis: what was spent, on a logarithmic scale.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    with style():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        objectives = {label: own[0].record.config.objective.name for label, own in curves.items()}
        for label, look in looks(objectives).items():
            for number, curve in enumerate(curves[label]):
                for part, (_, points) in enumerate(curve.parts(metric)):
                    axes.plot(
                        [point.on(axis) for point in points],
                        [point.value for point in points],
                        label=name_of(label) if number == part == 0 else None,
                        markersize=4,
                        linewidth=1.2,
                        **look.plotted,
                    )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(SPENT[axis])
        axes.set_ylabel(WHAT[metric])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="#dddddd", linewidth=0.5)
        axes.legend(frameon=False)
        return written(figure, format)
