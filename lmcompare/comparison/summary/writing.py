"""How an objective writes: beside the text itself, by a judge and by how varied it is."""

from collections.abc import Sequence
from typing import ClassVar

from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow
from lmcompare.comparison.tables.generation import GenerationRow, GenerationTable
from lmcompare.evaluation.generation.metrics import COST_METRICS, TEXT_METRICS
from lmcompare.evaluation.generation.record import GenerationRecord
from lmcompare.evaluation.metric import MISSING, Metric

JUDGE = next(each for each in TEXT_METRICS if each.name == "judge_bits_per_byte")
DIVERSITY = next(each for each in TEXT_METRICS if each.name == "distinct_2")
PASSES = next(each for each in COST_METRICS if each.name == "passes_per_written_token")
_JUDGE_IT = "lmcompare eval --tasks generation --judge RUN RUNS"


class Generation(Aspect):
    """Tell what is written after the same prompts, in the way that each arm writes first."""

    name: ClassVar[str] = "Generation"
    about: ClassVar[str] = (
        "what it writes: near the text itself is good, far below it in a judge's bits bland"
    )
    record = GenerationRecord
    measure: ClassVar[str] = "lmcompare eval --tasks generation RUNS"

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        tables: Sequence[GenerationTable] = given.tables.get("generation", ())
        if not tables:
            return self.nothing(given)
        # where there are several, that of most arms; a judged one rather than another
        table = max(tables, key=lambda each: (len(_first(each)), each.judge is not None))
        lacking = self.not_measured(given)
        return [
            _row(given, table, metric, heading, lacking)
            for metric, heading in (
                (JUDGE, "judge's bits/byte"),
                (DIVERSITY, "distinct-2"),
                (PASSES, "passes/token"),
            )
        ]


def _first(table: GenerationTable) -> dict[str, GenerationRow]:
    """Return how each arm writes first, by its label."""
    return {row.label: row for row in reversed(table.rows)}


def _row(
    given: Material, table: GenerationTable, metric: Metric, heading: str, lacking: str
) -> SummaryRow:
    itself = table.itself.get(metric.name)
    beside = ""
    if itself is not None:
        ends = " to ".join(dict.fromkeys(map(metric.shown, itself)))
        beside = f" (the text itself {ends})"
    first = _first(table)
    cells = {
        arm.label: _cell(first.get(arm.label), table, metric, lacking, given) for arm in given.arms
    }
    return SummaryRow(heading=f"{heading}{beside}", metric=metric, cells=cells)


def _cell(
    row: GenerationRow | None,
    table: GenerationTable,
    metric: Metric,
    lacking: str,
    given: Material,
) -> Cell:
    if row is None:
        return Cell(why=lacking)
    estimate = row.estimates.get(metric.name)
    if estimate is not None:
        return Cell.of(metric, estimate)
    reasons = [
        note.partition(": ")[2]
        for note in table.notes
        if note.startswith(f"{MISSING} {row.label}: ")
    ]
    if reasons:
        return Cell(why=reasons[0])
    if metric is JUDGE and table.judge is None:
        return Cell(why=f"no judge: `{given.command(_JUDGE_IT, given.results)}`")
    return Cell(why=f"nothing that was written has {metric.heading}")
