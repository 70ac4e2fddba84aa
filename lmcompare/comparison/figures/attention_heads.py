"""A picture of all heads: how far each attends, layer by layer, and how much of it to the right."""

import math
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from lmcompare.comparison.figures.drawing import GREY, name_of, style, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

    from lmcompare.comparison.tables.attention import HeadsOfArm, HeadsTable

PANELS = 4  # side by side at most
WIDTH, HEIGHT = 2.6, 2.3  # of a panel, in inches
SPREAD = 0.5  # of a layer's place, over which its heads stand side by side
AREA = 22.0  # of a point, in square points


def draw_heads(table: "HeadsTable", *, format: str = "svg") -> bytes:
    """Draw a panel for each arm, a point for each head of each run; the same bytes each time.

    The heads of a layer stand side by side in the order of their numbers. Those of several seeds
    stand above each other, as the number of a head means nothing beyond its own model.

    Args:
        table: of one text.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.figure import Figure

    num_wide = min(PANELS, len(table.arms))
    num_high = math.ceil(len(table.arms) / num_wide)
    with style():
        size = (WIDTH * num_wide + 1.4, HEIGHT * num_high + 0.8)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(num_high, num_wide, squeeze=False, sharey=True)
        drawn = None
        for axes, arm in zip(grid.flatten(), table.arms, strict=False):
            drawn = _panel(axes, arm)
        for axes in grid.flatten()[len(table.arms) :]:
            axes.set_axis_off()
        for row in grid:
            row[0].set_ylabel("mean distance, tokens", fontsize="small")
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=grid, shrink=0.7)
            bar.set_label("share of the weight on the right", fontsize="small")
        title = (
            f"{name_of(table.source)}: a point is a head of a run; the line, all before training"
        )
        figure.suptitle(fill(title, 24 * num_wide + 8), fontsize="medium")
        return written(figure, format)


def _panel(axes: "Axes", arm: "HeadsOfArm") -> "PathCollection":
    num = max(each.head for each in arm.heads)
    beside = np.linspace(-SPREAD / 2, SPREAD / 2, num) if num > 1 else np.zeros(1)
    axes.set_title(name_of(arm.label), fontsize="small")
    axes.set_xticks(sorted({each.layer for each in arm.heads}))
    axes.set_xlabel("layer", fontsize="small")
    axes.tick_params(labelsize="small")
    axes.grid(alpha=0.3)
    axes.plot(
        [each.layer for each in arm.untrained],
        [each.means["distance"].mean for each in arm.untrained],
        color=GREY,
        linestyle=(0, (3, 2)),
        linewidth=1.0,
        marker="_",
        zorder=1,
    )
    return axes.scatter(
        [each.layer + beside[each.head - 1] for each in arm.heads],
        [each.values["distance"] for each in arm.heads],
        c=[each.values["right"] for each in arm.heads],
        s=AREA,
        vmin=0.0,
        vmax=1.0,
        cmap="viridis",
        edgecolors="black",
        linewidths=0.4,
        zorder=2,
    )
