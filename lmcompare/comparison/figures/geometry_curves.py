"""Geometry layer by layer: a panel a metric, a line an arm, dashed the models as they started."""

from textwrap import fill
from typing import TYPE_CHECKING, Any

from lmcompare.comparison.figures.drawing import GREY, Look, looks, name_of, style, written
from lmcompare.evaluation.geometry.metrics import METRICS
from lmcompare.evaluation.metric import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lmcompare.comparison.tables.geometry import GeometryOfArm, GeometryTable

WIDTH, HEIGHT = 2.9, 2.5  # of a panel, in inches
LEGEND = 2.2  # inches, at the right
DASHED: dict[str, Any] = {"linestyle": (0, (3, 2)), "linewidth": 0.8}


def draw_geometry(table: "GeometryTable", *, format: str = "svg") -> bytes:
    """Draw each figure of each layer, means over seeds; the same bytes each time.

    Args:
        table: of the same words.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    drawn_as = looks({arm.label: arm.objective for arm in table.arms})
    with style():
        size = (WIDTH * len(METRICS) + LEGEND, max(HEIGHT + 0.5, 0.21 * len(drawn_as) + 0.6))
        figure = Figure(figsize=size, layout="constrained")
        for axes, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
            axes.set_title(metric.name.replace("_", " "), fontsize="medium")
            axes.set_xlabel("layer", fontsize="small")
            axes.tick_params(labelsize="small")
            axes.grid(alpha=0.3)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            for arm in table.arms:
                _draw(axes, arm, metric, drawn_as[arm.label])
        labels = [fill(name_of(each), 24) for each in (*drawn_as, "untrained")]
        handles = [Line2D([], [], **look.plotted) for look in drawn_as.values()]
        handles.append(Line2D([], [], color=GREY, **DASHED))
        figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
        figure.suptitle(f"{table.num_words:,} words of {name_of(table.source)}", fontsize="medium")
        return written(figure, format)


def _draw(axes: "Axes", arm: "GeometryOfArm", metric: Metric, look: Look) -> None:
    for state, how in (("untrained", {"color": look.color, **DASHED}), ("trained", look.plotted)):
        known = [
            (row.layer, getattr(row, state)[metric.name].mean)
            for row in arm.rows
            if metric.name in getattr(row, state)
        ]
        if known:
            axes.plot(*zip(*known, strict=True), markersize=4, **how)
