"""What a metric is: a value that says its unit, its range, which way is better and how it is shown.

Headings, percent signs, orders and the units of the tidy frame derive from it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lmcompare.stats.intervals import Estimate

MISSING = "—"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One thing that is measured.

    Attributes:
        name: the name in records and in the tidy frame.
        unit: the unit of its values; "share" of a share of 1, and "" where it has none.
        heading: what stands above its column; empty where it has no column of its own.
        lowest: the lowest value that there can be.
        highest: the highest one.
        better: which way is better; None where neither is.
        pattern: how a value is formatted: a format specification, or "short" for three digits with
            k, M, G, ... for powers of a thousand.
        scale: what a value is multiplied by before it is shown, as 1,000 for milliseconds.
    """

    name: str
    unit: str = ""
    heading: str = ""
    lowest: float = -math.inf
    highest: float = math.inf
    better: Literal["higher", "lower"] | None = None
    pattern: str = ".3f"
    scale: float = 1.0

    @property
    def is_share(self) -> bool:
        """Tell whether it is a share of 1."""
        return self.unit == "share"

    def shown(self, value: float | None) -> str:
        """Return a value as it stands in a table; what is not known is a dash."""
        if value is None:
            return MISSING
        value *= self.scale
        return short(value) if self.pattern == "short" else format(value, self.pattern)

    def shown_with_interval(self, estimate: Estimate | None) -> str:
        """Return a mean and half of its interval, as it stands in a table."""
        return MISSING if estimate is None else with_interval(estimate)

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in its range."""
        return self.lowest <= value <= self.highest


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A value of a metric, and what it was measured of.

    Attributes:
        metric: what was measured.
        value: in the metric's unit.
        standard_error: in the same unit; None where it is not known.
        num: how many bytes, texts or examples are behind it.
        name: the name in the tidy frame, if not that of the metric.
        columns: further columns of the tidy frame.
    """

    metric: Metric
    value: float
    standard_error: float | None = None
    num: int | None = None
    name: str = ""
    columns: Mapping[str, object] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, object]:
        """Return its row of the tidy frame."""
        return {
            **self.columns,
            "metric": self.name or self.metric.name,
            "value": float(self.value),
            "unit": self.metric.unit or None,
            "standard_error": self.standard_error,
            "n": self.num,
        }


def unknown(name: str) -> Metric:
    """Return a metric of which nothing but its name is known: its values are shown as they are."""
    return Metric(name=name, heading=f"{name} (unknown metric)", pattern=".4g")


def with_interval(estimate: Estimate) -> str:
    """Return a mean and its interval with three decimals; the latter is rounded up, never to 0."""
    half = estimate.half_width
    if half is None:
        return f"{estimate.mean:.3f} ±{MISSING}"
    return f"{estimate.mean:.3f} ±{math.ceil(half * 1000 - 1e-9) / 1000:.3f}"


def short(value: float) -> str:
    """Return three digits and k, M, G, T, P or E for powers of a thousand."""
    for exponent, prefix in enumerate(" kMGTPE"[::-1]):
        factor = 1000.0 ** (6 - exponent)
        if value >= 0.9995 * factor and factor > 1:
            return f"{float(f'{value / factor:.3g}'):g}{prefix}"
    return f"{value:.3g}"
