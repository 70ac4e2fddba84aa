"""Curves of runs on a terminal: a picture in characters, and below it a line for each arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text as Line

from lmcompare.comparison.figures.drawing import Look, looks
from lmcompare_cli.console import output, paragraph, printable

if TYPE_CHECKING:
    from lmcompare.runs.curves import Axis, Curve, LearnedMetric

MARKED = 12  # points of a line that have a marker, about
HEIGHT = 18  # lines of a picture
WIDEST = 100  # columns of a picture
# what stands for matplotlib's markers, filled and hollow, and where there are but ASCII characters
FILLED = dict(zip("osD^vPXp*h<>d", "●■◆▲▼✚✖⬟★⬢◀▶♦", strict=True))
HOLLOW = dict(zip("osD^vPXp*h<>d", "○□◇△▽✛✕⬠☆⬡◁▷◊", strict=True))
ASCII_HOLLOW = dict(zip("osD^vPXp*h<>d", "OSCAV+xq%H{}b", strict=True))
UNITS = {
    "common": "nats a hidden token, the same tokens for every objective",
    "validation": "validation loss, nats a target of its objective",
    "loss": "loss of training, nats a target of its objective, averaged over stretches of steps",
}
FRAME = str.maketrans("┌┐└┘─│┤┬", "++++-|++")  # of a picture in ASCII
BLACK = "#000000"  # not to be seen on most terminals: the color of their text stands for it


@dataclass(frozen=True, kw_only=True)
class DrawnArm:
    """The runs of an arm, and how they are drawn."""

    name: str
    look: Look
    curves: "Sequence[Curve]"

    @property
    def marker(self) -> str:
        """Return the character that stands for its points."""
        if output.options.ascii_only:
            return ASCII_HOLLOW[self.look.marker] if self.look.hollow else self.look.marker
        return (HOLLOW if self.look.hollow else FILLED)[self.look.marker]

    @property
    def style(self) -> str:
        """Return the color of its characters, as rich has it."""
        return "" if self.look.color == BLACK else self.look.color


def arms_of(curves: "Sequence[Curve]") -> list[DrawnArm]:
    """Return the arms of some curves, in their order, as every picture draws them."""
    from lmcompare.runs.curve_groups import by_arm

    arms = by_arm(curves)
    drawn_as = looks({name: own[0].record.config.objective.name for name, own in arms.items()})
    return [DrawnArm(name=name, look=drawn_as[name], curves=own) for name, own in arms.items()]


def print_curves(curves: "Sequence[Curve]", metric: "LearnedMetric", axis: "Axis") -> None:
    """Print a picture of a metric against what was spent, and where each run stands.

    Args:
        curves: each with points of the metric.
        metric: what was learned.
        axis: what was spent.
    """
    arms = arms_of(curves)
    lines = "a line for each run, one color and marker for all seeds of an arm"
    paragraph((metric, "bold"), f": {UNITS[metric]}; against {axis}; {lines}")
    picture = _picture(arms, metric, axis, width=min(output.width, WIDEST))
    for line in Line.from_ansi(picture).split("\n"):
        line.rstrip()
        output.print(line, soft_wrap=True)
    for arm in arms:
        ends = "; ".join(_end(curve, metric, axis) for curve in arm.curves)
        left = " (left side only)" if metric == "common" and arm.curves[0].given == "left" else ""
        paragraph((arm.marker, arm.style), f" {arm.name}{left}: {ends}")


def _end(curve: "Curve", metric: "LearnedMetric", axis: "Axis") -> str:
    """Say where a run stands."""
    config, parts = curve.record.config, curve.parts(metric)
    state = ""
    if not curve.finished:
        share = curve.share(parts[-1][1][-1])
        state = f", {curve.state}, {share:.0%} of {config.budget}"
    ends = (
        f"{phase.objective.name + ' ' if config.phase else ''}{points[-1].value:.3f} at "
        f"{amount(points[-1].on(axis), axis)}"
        for phase, points in parts
    )
    return f"seed {config.seed} {', then '.join(ends)}{state}"


def _picture(arms: Sequence[DrawnArm], metric: "LearnedMetric", axis: "Axis", *, width: int) -> str:
    """Draw the points and lines between them; colors are escapes of a terminal."""
    import plotext

    plain = output.options.ascii_only
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(width, HEIGHT)
    every = [point for arm in arms for curve in arm.curves for point in curve.values[metric]]
    for marked in (False, True):  # no line hides a point
        for arm in arms:
            color = tuple(bytes.fromhex(arm.look.color[1:])) if arm.style else "default"
            for _, points in (part for curve in arm.curves for part in curve.parts(metric)):
                spent, learned = [p.on(axis) for p in points], [p.value for p in points]
                if marked:
                    each = max(1, len(points) // MARKED)  # from the last one back
                    plotext.scatter(
                        spent[::-each], learned[::-each], marker=arm.marker, color=color
                    )
                elif len(points) > 1:
                    plotext.plot(spent, learned, marker="." if plain else "braille", color=color)
    marks = _ticks([each.on(axis) for each in every], max(2, width // 20))
    values = _ticks([each.value for each in every], 5)
    plotext.xticks(marks, [amount(each, axis) for each in marks])
    plotext.yticks(values, [f"{each:.2f}" for each in values])
    drawn: str = plotext.build()
    plotext.clear_figure()
    return printable(drawn.translate(FRAME) if plain else drawn, output)


def _ticks(numbers: Sequence[float], count: int) -> list[float]:
    """Return so many numbers that lie evenly between the least and the greatest."""
    low, high = min(numbers), max(numbers)
    if low == high:
        return [low]
    return [low + (high - low) * number / (count - 1) for number in range(count)]


def amount(spent: float, axis: "Axis") -> str:
    """Return what was spent in three digits, as people write it."""
    if axis == "seconds":
        return f"{spent:.3g} s" if spent < 1000 else f"{spent:,.0f} s"
    for prefix, factor in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if spent >= 0.9995 * factor:
            return f"{spent / factor:.3g}{prefix}"
    return f"{spent:.3g}"
