"""The fourth table: what arms reach in benchmarks, each beside one arm that is the reference.

Nothing is called the best. An arm wins, loses or ties with the reference, in a test on the same
examples that is corrected for all comparisons of its table (`lmcompare.stats.significance`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lmcompare.comparison.tables.verdicts import REFERENCE, Compared, shown, shown_interval
from lmcompare.evaluation.metric import MISSING
from lmcompare.evaluation.tasks.metrics import metric_of
from lmcompare.evaluation.tasks.record import Group
from lmcompare.objectives import Likelihood
from lmcompare.stats.paired_bootstrap import Interval

HEADINGS = (
    *("arm", "value", "beside reference", "verdict, p", "untrained", "flags", "asked", "seeds"),
)
CHANCE = "chance"
MARKS = (
    "Shares are in percent; values have 95% intervals over examples and seeds. untrained: the "
    "model as it started. asked: how likelihoods were taken (~ a pseudo-likelihood, ≤ a bound).",
    "wins, loses: p < 0.05, corrected for the whole table, in a test in which examples and seeds "
    "are both random. Intervals of differences are of the same test, and without 0 just then: 95% "
    "for all of the table together. ties: anything else, and no proof that both are alike.",
)
_SIGNS: Mapping[Likelihood, str] = {"exact": "", "bound": "≤", "pseudo": "~"}


@dataclass(frozen=True, kw_only=True)
class BenchmarkRow(Compared):
    """An arm; what is not known of it, or does not apply, is None."""

    finished: bool
    num_runs: int  # of the arm
    untrained: Interval | None = None
    scoring: str | None = None
    likelihood: Likelihood | None = None
    description: str | None = None
    gates: Mapping[str, str]  # by flag: the particulars
    figures: Mapping[str, float]  # others than the value, by name; means over seeds
    parts: Mapping[str, float]


class Smaller(NamedTuple):
    """A table under another, in which arms stand side by side."""

    title: str
    headings: list[str]
    cells: list[list[str]]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Hold the answers to the same examples, asked for by one protocol."""

    task: str
    protocol: str
    version: int
    text: str  # hash of the examples
    metric: str
    chance: float | None
    num_items: int
    reference: str | None  # its label; None where there is nothing to compare
    rows: Sequence[BenchmarkRow]
    level: str | None  # of the parts, if there are any
    parts: Mapping[str, int]  # examples of each
    notes: Sequence[str]

    @property
    def subtitle(self) -> str:
        """Return what was asked."""
        protocol = "" if self.protocol == "asked" else f" {self.protocol}"
        version = "" if self.version == 1 else f" version {self.version}"
        examples = f"{self.num_items:,} examples {self.text[:8]}"
        return f"{self.task}{protocol}{version}: {self.metric}, {examples}"

    @property
    def cells(self) -> list[list[str]]:
        """Return the rows under `HEADINGS`, chance last."""
        cells = [self._cells(row) for row in self.rows]
        chance = MISSING if self.chance is None else shown(self.chance, metric_of(self.metric))
        return [*cells, [CHANCE, chance, *[""] * (len(HEADINGS) - 2)]]

    def _cells(self, row: BenchmarkRow) -> list[str]:
        metric = metric_of(self.metric)
        beside = "" if row.difference is None else shown_interval(row.difference, metric, sign="+")
        few = len(row.seeds) < row.num_runs
        return [
            row.label,
            MISSING if row.value is None else shown_interval(row.value, metric),
            REFERENCE if row.label == self.reference else beside,
            row.verdict_in_words,
            "" if row.untrained is None else shown(row.untrained.value, metric),
            ", ".join(row.gates),
            f"{_SIGNS[row.likelihood] if row.likelihood else ''}{row.scoring or ''}",
            f"{len(row.seeds)} of {row.num_runs}" if few else str(row.num_runs),
        ]

    @property
    def smaller(self) -> list[Smaller]:
        """Return means over seeds: of other figures, and of the value in parts of the examples."""
        found = []
        rows = [row for row in self.rows if row.figures]
        names = dict.fromkeys(name for row in rows for name in row.figures)
        if names:
            cells = [
                [
                    name,
                    *(f"{row.figures[name]:.3f}" if name in row.figures else "" for row in rows),
                ]
                for name in names
            ]
            found.append(
                Smaller(
                    f"{self.task}: other figures", ["also", *(row.label for row in rows)], cells
                )
            )
        rows = [row for row in self.rows if row.parts]
        if rows and self.level is not None:
            cells = [
                [
                    part,
                    *(shown(row.parts[part], metric_of(self.metric)) for row in rows),
                    f"{num:,}",
                ]
                for part, num in self.parts.items()
            ]
            head = [self.level, *(row.label for row in rows), "examples"]
            found.append(Smaller(f"{self.task} by {self.level}", head, cells))
        return found


@dataclass(frozen=True, kw_only=True)
class BenchmarkTable:
    """The benchmarks of one kind; p is corrected for all comparisons in it."""

    group: Group
    blocks: Sequence[Block]
    notes: Sequence[str]

    @property
    def title(self) -> str:
        """Return what they measure."""
        return f"Benchmarks of {self.group}"
