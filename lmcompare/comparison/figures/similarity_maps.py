"""Maps of similarity: layers by layers of each pair of arms, beside what seeds differ by."""

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from lmcompare.comparison.figures.drawing import name_of, style, written
from lmcompare.evaluation.similarity.metrics import HEADINGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from lmcompare.comparison.tables.similarity import Means, SimilarityTable

SIZE = 1.9  # of a map, in inches
MARK = 4.5  # of a dot, in points


def draw_similarity(table: "SimilarityTable", *, format: str = "svg") -> bytes:
    """Draw a square of maps: arms by arms, the seeds of one arm on the diagonal.

    In a column are the layers of its arm to the right, in a row those of its arm upwards. A dot
    stands where both differ by more than seeds do. The same bytes each time.

    Args:
        table: of the same words.
        format: svg, or another that matplotlib writes.
    """
    from matplotlib.figure import Figure

    name = table.measures[0]
    arms = [*dict.fromkeys(label for pair in table.pairs for label in (pair.one, pair.other))]
    arms.sort()
    with style():
        side = SIZE * len(arms)
        figure = Figure(figsize=(side + 1.2, side + 0.6), layout="constrained")
        panels = figure.subplots(len(arms), len(arms), squeeze=False)
        drawn = None
        for axes in panels.flatten():
            axes.set_axis_off()
        for pair in table.pairs:
            grid = pair.grids.get(name)
            if grid is None:
                continue
            row, column = arms.index(pair.one), arms.index(pair.other)
            dots = [layer for layer, gap in grid.gaps.items() if gap.differs]
            drawn = _draw(panels[column, row], grid.between)
            for layer in dots:
                place = pair.layers.index(layer), pair.other_layers.index(layer)
                panels[column, row].plot(
                    *place, "o", color="white", markersize=MARK, markeredgecolor="black"
                )
            for number, floor in zip((row, column), grid.floors, strict=True):
                if floor is not None:
                    _draw(panels[number, number], floor)
        for number, label in enumerate(arms):
            panels[-1, number].set_title(name_of(label), fontsize="small", y=-0.28)
            panels[number, 0].text(
                -0.25,
                0.5,
                name_of(label),
                fontsize="small",
                rotation=90,
                ha="right",
                va="center",
                transform=panels[number, 0].transAxes,
            )
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=panels, shrink=0.6)
            bar.set_label(f"{HEADINGS[name]}, mean over unlike seeds", fontsize="small")
        title = f"{HEADINGS[name]} of layers; on the diagonal, of seeds of one arm"
        figure.suptitle(fill(title, 18 * len(arms)), fontsize="medium")
        return written(figure, format)


def _draw(axes: "Axes", means: "Means") -> "AxesImage":
    """Draw the layers of the first arm to the right, and those of the second upwards."""
    values = np.array(means, dtype=np.float64)
    axes.set_axis_on()
    axes.tick_params(labelsize="x-small")
    axes.set_xticks(range(values.shape[0]))
    axes.set_yticks(range(values.shape[1]))
    return axes.imshow(values.T, origin="lower", vmin=0.0, vmax=1.0, cmap="viridis")
