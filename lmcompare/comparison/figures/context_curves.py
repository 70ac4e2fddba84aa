"""Context curves: what a token costs where its context ends so far away, on the left and right."""

from textwrap import fill
from typing import TYPE_CHECKING, Any

from lmcompare.comparison.figures.drawing import GREY, Look, looks, name_of, style, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from lmcompare.comparison.tables.context import ContextRow, ContextTable
    from lmcompare.evaluation.context.record import Change, Side
    from lmcompare.stats.intervals import Estimate

LINES: "dict[Change, Any]" = {"cut": "-", "shuffled": (0, (5, 2)), "replaced": ":"}
LEGEND = 2.2  # inches, at the right


def draw_context(table: "ContextTable", *, format: str = "svg") -> bytes:
    """Draw nats by distance, a panel a side and a colour an objective; the same bytes each time.

    Args:
        table: of the same tokens.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = [row for row in table.rows if row.lost]
    drawn_as = looks({row.label: row.objective for row in rows})
    sides: tuple[Side, ...] = ("left", "right")
    with style():
        figure = Figure(figsize=(8.2 + LEGEND, 4.2), layout="constrained")
        for axes, side in zip(figure.subplots(1, 2, sharey=True), sides, strict=True):
            for row in rows:
                _draw(axes, row, side, table.distances, drawn_as[row.label])
            axes.set_title(f"context on the {side}", fontsize="medium")
            _scale(axes, table.distances)
            if side == "left":
                axes.set_ylabel("nats that a token costs more")
                axes.invert_xaxis()  # as it is read: the token stands between the panels
        handles: list[Any] = [Line2D([], [], **look.plotted) for look in drawn_as.values()]
        handles += [Line2D([], [], color=GREY, linestyle=each) for each in LINES.values()]
        labels = [fill(name_of(label), 24) for label in [*drawn_as, *LINES]]
        figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
        figure.suptitle(
            f"{name_of(table.source)}: a side changed beyond a distance, with 95% intervals",
            fontsize="medium",
        )
        return written(figure, format)


def _draw(
    axes: "Axes", row: "ContextRow", side: "Side", distances: "Sequence[int]", look: Look
) -> None:
    for change, line in LINES.items():
        curve = row.lost.get(f"{change} {side}")
        if curve is None:  # it sees nothing there: a line at 0
            if change == "cut":
                axes.plot(distances, [0.0] * len(distances), **look.plotted, markersize=3)
            continue
        values = [each.mean for each in curve] + [0.0]
        if change != "cut":
            axes.plot(distances, values, color=look.color, linestyle=line, linewidth=0.9, alpha=0.8)
            continue
        axes.fill_between(
            distances,
            [_end(each, each.low) for each in curve] + [0.0],
            [_end(each, each.high) for each in curve] + [0.0],
            color=look.color,
            alpha=0.12,
            linewidth=0,
        )
        axes.plot(distances, values, **look.plotted, markersize=4, linewidth=1.4)


def _end(estimate: "Estimate", end: float | None) -> float:
    return estimate.mean if end is None else end


def _scale(axes: "Axes", distances: "Sequence[int]") -> None:
    """Mark distances, each twice as far as the one before."""
    axes.set_xscale("symlog", base=2, linthresh=1)
    axes.set_xticks([*distances], [str(each) for each in distances])
    axes.set_xlim(-0.2, 1.2 * distances[-1])
    axes.minorticks_off()
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_xlabel("tokens of context that are left as they are", fontsize="small")
    axes.tick_params(labelsize="small")
    axes.grid(alpha=0.3)
