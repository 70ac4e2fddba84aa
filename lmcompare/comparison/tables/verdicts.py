"""What the tables with verdicts share: an arm beside the reference, in one test and in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from lmcompare.comparison.arms import Arm
from lmcompare.evaluation.metric import Metric
from lmcompare.stats.intervals import SIGNIFICANT, p_in_words
from lmcompare.stats.paired_bootstrap import FEWEST_SEEDS, Interval, Scores
from lmcompare.stats.significance import Spread, difference, pooled_spread

REFERENCE = "reference"
Verdict = Literal["wins", "loses", "ties"]


class Contest(NamedTuple):
    """An arm beside another in one question, and how that ended."""

    question: str  # in a few words, the same for both
    arm: str  # the label of each
    reference: str
    verdict: Verdict
    num_seeds: int  # of that of them which has fewer
    doubtful: bool  # a check speaks against the figures of one of them

    @property
    def winner(self) -> str | None:
        """Return who did better; None if that is not known."""
        return {"wins": self.arm, "loses": self.reference, "ties": None}[self.verdict]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A row that may stand beside another one; what is not known of it is None."""

    label: str
    seeds: Sequence[int]  # those averaged
    value: Interval | None = None
    difference: Interval | None = None  # from the reference; one of all that hold together
    test: str | None = None
    p: float | None = None  # of this comparison alone
    corrected_p: float | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Return how it does beside the reference."""
        if self.corrected_p is None or self.difference is None:
            return None
        if self.corrected_p >= SIGNIFICANT:
            return "ties"
        return "wins" if self.difference.value > 0 else "loses"

    @property
    def verdict_in_words(self) -> str:
        """Return the same with p."""
        if self.verdict is None or self.corrected_p is None:
            return ""
        return f"{self.verdict} {p_in_words(self.corrected_p)}"


@dataclass(frozen=True, kw_only=True)
class Among:
    """What a comparison is one of."""

    reference: Scores
    pooled: Spread | None  # over seeds, of all arms of the block
    num_comparisons: int  # of the table

    @staticmethod
    def of(reference: Scores, candidates: Sequence[Scores], num_comparisons: int) -> "Among":
        """Return it from what all arms of a block gained, the reference among them."""
        return Among(
            reference=reference, pooled=pooled_spread(candidates), num_comparisons=num_comparisons
        )

    def beside(self, ours: Scores) -> Mapping[str, Any]:
        """Return how an arm does beside the reference, as fields of its row."""
        found = difference(ours, self.reference, pooled=self.pooled)
        return {
            "difference": found.interval(self.num_comparisons),
            "test": found.test,
            "p": found.p(),
            "corrected_p": found.p(self.num_comparisons),
        }


def notes_on_verdicts(rows: Sequence[Compared], num_comparisons: int) -> Iterator[str]:
    """Yield how many comparisons a table makes, and which arms have too few seeds."""
    rows = [row for row in rows if row.value is not None]
    if any(row.p is not None for row in rows):
        num = f"{num_comparisons} comparisons" if num_comparisons > 1 else "one comparison"
        yield (
            f"p, verdicts and the intervals of differences: of {num} in this table, corrected for "
            "all of them together."
        )
    few = dict.fromkeys(row.label for row in rows if len(row.seeds) < FEWEST_SEEDS)
    if few:
        yield (
            f"fewer than {FEWEST_SEEDS} seeds, so intervals are over examples alone, and a verdict "
            "on one of these, or beside it, is about these models, not about objectives: "
            f"{', '.join(few)}"
        )


def row_of_difference(row: Compared, arm: Arm) -> dict[str, object]:
    """Return what the tidy frame says of an arm's difference, but for what was measured."""
    assert row.difference is not None
    return arm.columns | {
        "value": row.difference.value,
        "low": row.difference.low,
        "high": row.difference.high,
        "p": row.p,
        "corrected_p": row.corrected_p,
        "verdict": row.verdict,
        "test": row.test,
    }


def shown(value: float, metric: Metric, *, sign: str = "") -> str:
    """Return a value: a share in percent; anything else as its metric shows it."""
    if not metric.is_share:
        return f"{'+' if sign and value >= 0 else ''}{metric.shown(value)}"
    return format(100 * value, f"{sign}.1f")


def shown_interval(interval: Interval, metric: Metric, *, sign: str = "") -> str:
    """Return a value with the ends of its interval."""
    ends = f"{_end(interval.low, metric)}, {_end(interval.high, metric)}"
    return f"{shown(interval.value, metric, sign=sign)} [{ends}]"


def _end(value: float, metric: Metric) -> str:
    """Show an end that is not 0 as more than 0, as a verdict may depend on it."""
    found, scale = shown(value, metric), 100 if metric.is_share else 1
    return f"{scale * value:.1g}" if value and not float(found) else found
