"""Fill the summary: figures of arms, with their uncertainty or the reason for a dash."""

from collections.abc import Mapping
from dataclasses import dataclass

from lmcompare.comparison.tables.verdicts import shown_interval
from lmcompare.evaluation.metric import Metric
from lmcompare.stats.intervals import Estimate
from lmcompare.stats.paired_bootstrap import Interval

ELSEWHERE = "it was trained elsewhere, which leaves no record of that here"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure of an arm, and what must be known of it; without one, why there is none.

    Attributes:
        shown: as it stands in the table; empty where there is nothing.
        value: the mean over seeds in the unit of its row; None where there is none, or words.
        low: the lower end of its interval, where it has one.
        high: the upper end.
        why: why there is no figure and what measures it, or what must be known of the figure.
    """

    shown: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""

    @staticmethod
    def of(metric: Metric, estimate: Estimate, *, sign: str = "", why: str = "") -> "Cell":
        """Return a mean over seeds; a sign, such as that of a bound, stands before it."""
        half = estimate.half_width
        # what all seeds share, as a share of targets, has no uncertainty but by rounding
        has_width = half is not None and half > 1e-9 * abs(estimate.mean)
        ends = f" ±{_rounded_up(metric, half)}" if half is not None and has_width else ""
        return Cell(
            shown=f"{sign}{metric.shown(estimate.mean)}{ends}",
            value=estimate.mean,
            low=estimate.low,
            high=estimate.high,
            why=why,
        )

    @staticmethod
    def of_interval(metric: Metric, interval: Interval, *, why: str = "") -> "Cell":
        """Return a score with the ends of its interval."""
        return Cell(
            shown=shown_interval(interval, metric),
            value=interval.value,
            low=interval.low,
            high=interval.high,
            why=why,
        )

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to show."""
        return not self.shown


def _rounded_up(metric: Metric, half: float) -> str:
    """Return half of an interval, never as 0, and in percent where its value is."""
    shown = metric.shown(half)
    if any(digit in shown for digit in "123456789"):
        return shown
    return f"{100 * half:.1g}%" if metric.pattern.endswith("%") else f"{half:.1g}"


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One figure of every arm.

    Attributes:
        heading: what it is, in a few words.
        metric: its unit and how it is shown; None of words.
        cells: of each arm by its label.
    """

    heading: str
    metric: Metric | None
    cells: Mapping[str, Cell]


def share_of(name: str, pattern: str = ".1%") -> Metric:
    """Return a metric that is a share of 1, shown in percent."""
    return Metric(name=name, unit="share", lowest=0.0, highest=1.0, pattern=pattern)
