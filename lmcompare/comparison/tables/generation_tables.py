"""How what was written stands in a comparison: in two tables, what it is like and what it took."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from lmcompare.blocks import Block, Column, Notes, Part, Table, names
from lmcompare.comparison.arms import Arm
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.comparison.tables.generation import (
    MARKS,
    SHOWN,
    TITLE,
    GenerationTable,
    generation_tables,
    heading_of,
)
from lmcompare.evaluation.generation.metrics import COST_METRICS
from lmcompare.evaluation.generation.record import GenerationRecord


class GenerationTables(ResultTables[GenerationTable]):
    """A table for each set of prompts and judge, in two: what was written, and what it took."""

    key = "generation"
    record = GenerationRecord
    lacks = "not asked to write"

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[GenerationTable]:
        return generation_tables(arms)

    def blocks(self, tables: Sequence[GenerationTable]) -> Iterator[Block]:
        for table in tables:
            yield from _blocks(table)
        if tables:
            yield Notes(MARKS)

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[GenerationTable], *, reference: str | None
    ) -> Iterator[str]:
        if any(table.judge is None for table in tables):
            yield (
                "what was written has no judge, and so there is no picture of it: `lmcompare "
                "eval --tasks generation --judge RUN`"
            )
        if any(table.judge is not None for table in tables) and not can_draw():
            yield "no picture of what was written: it needs pip install 'lmcompare[plots]'"

    def as_json(self, table: GenerationTable) -> Any:
        judge = None if table.judge is None else table.judge.model_dump()
        return asdict(table) | {"judge": judge}

    def pictures(self, tables: Sequence[GenerationTable]) -> Iterator[tuple[str, bytes]]:
        from lmcompare.comparison.figures.quality_diversity import frontier

        judged = [table for table in tables if table.judge is not None]
        for number, table in enumerate(judged, start=1):
            if (picture := frontier(table)) is not None:
                yield f"generation{number if number > 1 else ''}", picture


def _blocks(table: GenerationTable) -> Iterator[Table]:
    """Yield what was written, and below it what it took: no page has room for both in one."""
    cost = len(COST_METRICS)
    rows = [[" ".join(filter(None, row[:3])), *row[3:]] for row in table.cells]
    headings = [heading_of(metric) for metric in SHOWN]
    yield Table(
        columns=[*names("arm"), *(Column(each, "number") for each in headings[:-cost])],
        parts=[
            Part(
                title=TITLE, subtitle=table.subtitle, rows=[row[:-cost] for row in rows], anchors=1
            )
        ],
    )
    yield Table(
        columns=[*names("arm"), *(Column(each, "number") for each in headings[-cost:])],
        parts=[
            Part(
                title=TITLE,
                subtitle="What it took to write it",
                rows=[[row[0], *row[-cost:]] for row in rows[:-1]],
            )
        ],
        notes=table.notes,
    )
