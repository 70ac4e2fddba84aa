"""Layer curves: what probes find in each layer, a panel for each task; and along training."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any

from lmcompare.comparison.figures.drawing import GREY, Look, looks, name_of, style, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lmcompare.comparison.tables.probes import LayerPoint, ProbeBlock, ProbeRow, ProbeTable

PANELS = 4  # side by side at most
WIDTH, HEIGHT = 3.1, 2.5  # of a panel, in inches
LEGEND = 2.4  # inches, at the right
LINE = 0.21  # of the legend, in inches
CLOSE = 0.07  # of a panel's height: labels that are closer share a place


def draw_layers(table: "ProbeTable", *, format: str = "svg") -> bytes:
    """Draw the score of each layer, a line an arm; the same bytes each time.

    Args:
        table: of one treebank.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.ticker import MaxNLocator

    rows = [row for block in table.blocks for row in block.rows]
    drawn_as = looks({row.label: row.objective for row in rows})
    has_control = any(point.control is not None for row in rows for point in row.curve)
    meanings: dict[str, dict[str, Any]] = {
        "95% interval": {"linewidth": 7, "alpha": 0.2},
        **({"control task": {"linestyle": ":"}} if has_control else {}),
        **(
            {"untrained": {"linestyle": (0, (3, 2))}}
            if any(row.untrained_curve for row in rows)
            else {}
        ),
    }

    def panel(axes: "Axes", block: "ProbeBlock") -> None:
        for row in block.rows:
            _draw_layers(axes, row, drawn_as[row.label])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("layer", fontsize="small")

    with _page(table, "layer by layer", table.blocks, panel, drawn_as, meanings) as figure:
        return written(figure, format)


def draw_training(table: "ProbeTable", *, format: str = "svg") -> bytes:
    """Draw the score at the best layer along training, a line a run; the same bytes each time.

    Args:
        table: of one treebank, in which some runs were probed at several checkpoints.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.ticker import EngFormatter

    blocks = [block for block in table.blocks if block.lines]
    drawn_as = looks({line.label: line.objective for block in blocks for line in block.lines})

    def panel(axes: "Axes", block: "ProbeBlock") -> None:
        for line in block.lines:
            axes.plot(
                [point.spent.tokens for point in line.points],
                [100 * point.value for point in line.points],
                **drawn_as[line.label].plotted,
                markersize=4,
                linewidth=1,
            )
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("tokens read", fontsize="small")

    what = "the best layer along training, a line for each run"
    with _page(table, what, blocks, panel, drawn_as, {}) as figure:
        return written(figure, format)


def _draw_layers(axes: "Axes", row: "ProbeRow", look: Look) -> None:
    layers = [point.layer for point in row.curve]
    axes.fill_between(
        layers,
        [100 * point.score.low for point in row.curve],
        [100 * point.score.high for point in row.curve],
        color=look.color,
        alpha=0.12,
        linewidth=0,
    )
    thin: dict[str, Any] = {"color": look.color, "linewidth": 0.8, "alpha": 0.8}
    controls = [point for point in row.curve if point.control is not None]
    axes.plot(*_ways(controls, lambda point: point.control), linestyle=":", **thin)
    axes.plot(
        *_ways(row.untrained_curve, lambda point: point.score.value),
        linestyle=(0, (3, 2)),
        **thin,
    )
    axes.plot(
        *_ways(row.curve, lambda point: point.score.value),
        **look.plotted,
        markersize=5,
        linewidth=1.4,
    )


def _ways(
    points: "Sequence[LayerPoint]", value: "Callable[[LayerPoint], float | None]"
) -> tuple[list[int], list[float]]:
    return [point.layer for point in points], [100 * (value(point) or 0.0) for point in points]


@contextmanager
def _page(
    table: "ProbeTable",
    what: str,
    blocks: "Sequence[ProbeBlock]",
    panel: "Callable[[Axes, ProbeBlock], None]",
    drawn_as: Mapping[str, Look],
    meanings: Mapping[str, Mapping[str, Any]],
) -> "Iterator[Figure]":
    """Yield a page with a panel for each task, and at its right what the lines mean."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    num_wide = min(PANELS, len(blocks))
    num_high = math.ceil(len(blocks) / num_wide)
    with style():
        labels = [fill(name_of(label), 24) for label in [*drawn_as, *meanings]]
        num_lines = sum(label.count("\n") + 1 for label in labels)
        height = max(HEIGHT * num_high + 0.6, LINE * num_lines + 0.2)
        size = (WIDTH * num_wide + LEGEND, height)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(num_high, num_wide, squeeze=False).flatten()
        for axes, block in zip(panels, blocks, strict=False):
            axes.set_title(name_of(block.task), fontsize="medium")
            axes.set_ylabel(f"{name_of(block.metric)}, percent", fontsize="small")
            axes.tick_params(labelsize="small")
            axes.grid(alpha=0.3)
            panel(axes, block)
            _draw_baselines(axes, block.baselines)
        for axes in panels[len(blocks) :]:
            axes.set_axis_off()
        handles = [Line2D([], [], **look.plotted) for look in drawn_as.values()]
        handles += [Line2D([], [], color=GREY, **each) for each in meanings.values()]
        figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
        figure.suptitle(fill(name_of(f"{table.how}: {what}"), 36 * num_wide), fontsize="medium")
        yield figure


def _draw_baselines(axes: "Axes", baselines: Mapping[str, float]) -> None:
    """Draw what needs no model as grey lines, labelled at the right of the panel."""
    for value in baselines.values():
        axes.axhline(100 * value, color=GREY, linewidth=0.9, zorder=0)
    low, high = axes.get_ylim()
    places: list[tuple[float, list[str]]] = []
    for name, value in sorted(baselines.items(), key=lambda each: each[1]):
        place = (100 * value - low) / (high - low)
        if places and place - places[-1][0] < CLOSE:
            places[-1][1].append(name)
        else:
            places.append((place, [name]))
    for place, names in places:
        axes.annotate(
            "\n".join(map(name_of, names[::-1])),
            (1.0, place),
            xycoords="axes fraction",
            xytext=(3, 0),
            textcoords="offset points",
            fontsize="x-small",
            color=GREY,
            verticalalignment="center",
        )
