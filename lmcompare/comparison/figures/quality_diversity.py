"""A picture of the third table: quality against diversity, each point with its cost.

The best place is that of the text itself. To its left, text is likelier than what people write and
mostly less varied; below it, less varied at the same likelihood.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lmcompare.comparison.figures.drawing import Look, looks, name_of, style, written
from lmcompare.comparison.tables.generation import (
    ITSELF,
    GenerationRow,
    GenerationTable,
)
from lmcompare.evaluation.metric import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST, LARGEST = 25.0, 400.0  # areas of points, in square points
MARGIN = 0.1  # of an axis, on both sides, of what its points span


def frontier(table: GenerationTable, *, format: str = "svg") -> bytes | None:
    """Draw the picture, the same bytes each time; None without a judge to say what is good.

    Args:
        table: with at least one row that has a judge's opinion.
        format: svg, or another that matplotlib writes.
    """
    rows = [row for row in table.rows if {"judge_bits_per_byte", "distinct_2"} <= {*row.estimates}]
    if not rows:
        return None
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(9, 6), layout="constrained")
        axes = figure.add_subplot()
        areas = _areas([row.estimates["flops_per_written_token"].mean for row in rows])
        drawn_as = looks({(row.label, row.method): row.objective for row in rows})
        for (label, method), look in drawn_as.items():
            own = [
                (row, area)
                for row, area in zip(rows, areas, strict=True)
                if (row.label, row.method) == (label, method)
            ]
            _draw(axes, own, look)
        _draw_itself(axes, table.itself)
        for axis, metric in ((axes.xaxis, "judge_bits_per_byte"), (axes.yaxis, "distinct_2")):
            axis.set_view_interval(
                *frame_of(_of(rows, metric), table.itself.get(metric)), ignore=True
            )
        axes.set_xlabel(
            f"bits/byte by the judge ({name_of(table.judge.name) if table.judge else ''})"
        )
        axes.set_ylabel("distinct-2: unlike pairs of words among all")
        axes.set_title(f"{table.num_texts} texts of {table.new_tokens} tokens", loc="left")
        costs = [row.estimates["flops_per_written_token"].mean for row in rows]
        axes.set_title(
            f"bars: 95% intervals; area: FLOPs/token, {short(min(costs))} to {short(max(costs))}",
            loc="right",
            fontsize="small",
        )
        legend = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([60.0])  # one size: there it stands for no cost
        axes.grid(alpha=0.3)
        return written(figure, format)


def _areas(costs: Sequence[float]) -> list[float]:
    """Return those of points, by the logarithms of their costs."""
    logarithms = [math.log(cost) for cost in costs]
    low, span = min(logarithms), max(logarithms) - min(logarithms)
    shares = [(each - low) / span if span else 0.25 for each in logarithms]
    return [SMALLEST + share * (LARGEST - SMALLEST) for share in shares]


def lines(rows: Sequence[GenerationRow]) -> list[list[GenerationRow]]:
    """Return rows that differ in nothing but their temperature, together."""
    found: dict[object, list[GenerationRow]] = {}
    for row in rows:
        rest = frozenset((key, value) for key, value in row.sampler.items() if key != "temperature")
        found.setdefault(("temperature" in row.sampler, rest), []).append(row)
    return list(found.values())


def _draw(axes: "Axes", rows: Sequence[tuple[GenerationRow, float]], look: Look) -> None:
    """Draw an arm that writes in one way: its points, joined from one temperature to the next."""
    first = rows[0][0]
    chosen = [row for row, _ in rows]
    for own in lines(chosen):
        axes.plot(
            _of(own, "judge_bits_per_byte"),
            _of(own, "distinct_2"),
            color=look.color,
            ls=look.line,
            alpha=0.5,
        )
    axes.scatter(
        _of(chosen, "judge_bits_per_byte"),
        _of(chosen, "distinct_2"),
        s=[area for _, area in rows],
        facecolors="white" if look.hollow else look.color,
        edgecolors=look.color,
        marker=look.marker,
        alpha=0.75,
        label=name_of(f"{first.label}, {first.method}"),
    )
    for row in chosen:
        estimate, height = row.estimates["judge_bits_per_byte"], row.estimates["distinct_2"]
        axes.errorbar(
            estimate.mean,
            height.mean,
            xerr=estimate.half_width,
            yerr=height.half_width,
            color=look.color,
            alpha=0.5,
            linewidth=1,
        )
        axes.annotate(
            _short_settings(row),
            (estimate.mean, height.mean),
            xytext=(6, 6),
            textcoords="offset points",
            fontsize="x-small",
        )


def _draw_itself(axes: "Axes", itself: Mapping[str, tuple[float, float]]) -> None:
    if {"judge_bits_per_byte", "distinct_2"} <= {*itself}:
        bits, height = itself["judge_bits_per_byte"][0], itself["distinct_2"][0]
        axes.axvline(bits, color="black", linestyle=":", linewidth=1)
        axes.axhline(height, color="black", linestyle=":", linewidth=1)
        axes.scatter([bits], [height], s=200, color="black", marker="*", label=ITSELF)


def frame_of(values: Sequence[float], itself: tuple[float, float] | None) -> tuple[float, float]:
    """Return what an axis spans: all points; a bar that is longer than that is cut off."""
    points = [*values, *(itself or ())]
    low, high = min(points), max(points)
    margin = MARGIN * (high - low) or 0.1
    return low - margin, high + margin


def _of(rows: Sequence[GenerationRow], metric: str) -> list[float]:
    return [row.estimates[metric].mean for row in rows]


def _short_settings(row: GenerationRow) -> str:
    """Return what stands beside a point."""
    settings = row.settings
    for name, short_name in (
        ("temperature", "T"),
        ("top-p", "p"),
        ("degeneration-penalty", "contrast"),
    ):
        settings = settings.replace(name, short_name)
    return settings
