"""The tables of benchmarks, and their learning curves, in a comparison."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from lmcompare import files
from lmcompare.blocks import Block, Column, Notes, Part, Table, names, words
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.figures.learning_curves import LearningCurves, draw, learning_curves
from lmcompare.comparison.tables import task_results
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.comparison.tables.task_verdicts import benchmark_tables
from lmcompare.comparison.tables.tasks import HEADINGS, MARKS, BenchmarkTable
from lmcompare.comparison.tables.tasks import Block as TaskBlock
from lmcompare.comparison.tables.verdicts import Contest, row_of_difference
from lmcompare.evaluation.tasks.metrics import metric_of
from lmcompare.evaluation.tasks.record import TaskRecord


class TaskTables(ResultTables[BenchmarkTable]):
    """A table for each group of tasks, with verdicts beside a reference."""

    key = "benchmark"
    record = TaskRecord

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[BenchmarkTable]:
        return benchmark_tables(arms, reference=reference)

    def blocks(self, tables: Sequence[BenchmarkTable]) -> Iterator[Block]:
        for table in tables:
            yield from _blocks(table)
        if tables:
            yield Notes(MARKS)

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[BenchmarkTable], *, reference: str | None
    ) -> Iterator[str]:
        if reference is not None and not tables:
            yield f"no benchmark was asked, so in none is anything compared with {reference}"

    def stale(self, result: Result) -> Iterator[str]:
        for record in task_results.stale(result):
            yield (
                f"asked at step {record.step:,} of {result.spent.steps:,} and left out: "
                f"`lmcompare eval --tasks {record.task} {result.run.path}`"
            )

    def rows(
        self, tables: Sequence[BenchmarkTable], arms: Mapping[str, Arm]
    ) -> Iterator[dict[str, object]]:
        for table in tables:
            for block in table.blocks:
                yield from _differences(block, arms)

    def contests(self, tables: Sequence[BenchmarkTable]) -> Iterator[Contest]:
        for block in (block for table in tables for block in table.blocks):
            known = {row.label: row for row in block.rows}
            for row in block.rows:
                if row.verdict is None or block.reference is None:
                    continue
                other = known[block.reference]
                yield Contest(
                    question=block.task
                    if block.protocol == "asked"
                    else f"{block.task} {block.protocol}",
                    arm=row.label,
                    reference=other.label,
                    verdict=row.verdict,
                    num_seeds=min(len(row.seeds), len(other.seeds)),
                    doubtful=bool(row.gates or other.gates),
                )

    def as_json(self, table: BenchmarkTable) -> Any:
        document = asdict(table)
        for block, shown in zip(document["blocks"], table.blocks, strict=True):
            for row, each in zip(block["rows"], shown.rows, strict=True):
                row["verdict"] = each.verdict
        return document


class TaskCurves(ResultTables[LearningCurves]):
    """The learning curves of benchmarks that were asked at several checkpoints: pictures alone."""

    key = "curves"
    record = TaskRecord

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[LearningCurves]:
        return learning_curves(arms)

    def blocks(self, tables: Sequence[LearningCurves]) -> Iterator[Block]:
        yield from ()

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[LearningCurves], *, reference: str | None
    ) -> Iterator[str]:
        if tables and not can_draw():
            yield "no picture of learning curves: it needs pip install 'lmcompare[plots]'"

    def stale(self, result: Result) -> Iterator[str]:
        yield from ()

    def as_json(self, table: LearningCurves) -> Any:
        document = asdict(table)
        for line, shown in zip(document["lines"], table.lines, strict=True):
            for point, each in zip(line["points"], shown.points, strict=True):
                point["spent"] = each.spent.model_dump()
        return document

    def pictures(self, tables: Sequence[LearningCurves]) -> Iterator[tuple[str, bytes]]:
        for curves in tables:
            yield f"curves-{files.name_of(curves.name)}", draw(curves)


def _blocks(table: BenchmarkTable) -> Iterator[Block]:
    for block in table.blocks:
        arm, *others = HEADINGS
        kinds = (words(each)[0] if each == "flags" else Column(each, "number") for each in others)
        smaller = [
            Table(
                columns=[
                    *names(each.headings[0]),
                    *(Column(heading, "number") for heading in each.headings[1:]),
                ],
                parts=[Part(title=table.title, subtitle=each.title, rows=each.cells)],
            )
            for each in block.smaller
        ]
        yield Table(
            columns=[*names(arm), *kinds],
            parts=[Part(title=table.title, subtitle=block.subtitle, rows=block.cells, anchors=1)],
            notes=() if smaller else block.notes,
        )
        yield from smaller
        if smaller and block.notes:
            yield Notes(block.notes)
    if table.notes:
        yield Notes(table.notes)


def _differences(block: TaskBlock, arms: Mapping[str, Arm]) -> Iterator[dict[str, object]]:
    for row in block.rows:
        if row.difference is None:
            continue
        yield row_of_difference(row, arms[row.label]) | {
            "metric": f"{block.task} {block.metric} difference",
            "scoring": row.scoring,
            "likelihood": row.likelihood,
            "text": block.text,
            "protocol": block.protocol,
            "unit": metric_of(block.metric).unit or None,
            "n": block.num_items,
            "reference": block.reference,
        }
