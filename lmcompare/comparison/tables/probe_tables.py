"""The tables of probes, and their layer curves, in a comparison."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from lmcompare import files
from lmcompare.blocks import Block, Column, Notes, Part, Table, names, words
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.figures.layer_curves import draw_layers, draw_training
from lmcompare.comparison.tables import probe_notes, probe_results
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.comparison.tables.probe_verdicts import probe_tables
from lmcompare.comparison.tables.probes import CODE, MARKS, SCORES, ProbeBlock, ProbeTable
from lmcompare.comparison.tables.verdicts import Contest, row_of_difference
from lmcompare.evaluation.probes.metrics import POINTS
from lmcompare.evaluation.probes.record import ProbeRecord


class ProbeTables(ResultTables[ProbeTable]):
    """A table for each treebank and way to probe it, with verdicts beside a reference."""

    key = "probes"
    record = ProbeRecord

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[ProbeTable]:
        return probe_tables(arms, reference=reference)

    def blocks(self, tables: Sequence[ProbeTable]) -> Iterator[Block]:
        for table in tables:
            for block in table.blocks:
                yield from _blocks(table, block)
            if table.notes:
                yield Notes(table.notes)
        if tables:
            rows = [row for table in tables for block in table.blocks for row in block.rows]
            has_code = any(row.compression is not None for row in rows)
            yield Notes([*MARKS, *([CODE] if has_code else [])])

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[ProbeTable], *, reference: str | None
    ) -> Iterator[str]:
        if tables and not can_draw():
            yield "no picture of layers: it needs pip install 'lmcompare[plots]'"

    def lacking(self, results: Sequence[Result]) -> Iterator[str]:
        runs = self._lacking(results)
        if 0 < len(runs) < len(results):
            asked = {record.source: None for each in results for record in each.of(ProbeRecord)}
            for source in asked:
                yield f"not probed: `lmcompare probe {' '.join(runs)} --treebank {source}`"

    def stale(self, result: Result) -> Iterator[str]:
        for about, records in probe_results.stale(result).items():
            tasks = [*dict.fromkeys(record.task for record in records)]
            command = probe_notes.command(about, tasks, [str(result.run.path)], records[0].wanted)
            yield (
                f"probed at step {records[-1].step:,} of {result.spent.steps:,} and left out: "
                f"{command}"
            )

    def rows(
        self, tables: Sequence[ProbeTable], arms: Mapping[str, Arm]
    ) -> Iterator[dict[str, object]]:
        for table in tables:
            for block in table.blocks:
                for row in block.rows:
                    if row.difference is not None:
                        yield row_of_difference(row, arms[row.arm]) | {
                            "metric": f"{block.task} {block.metric} difference",
                            "source": table.source,
                            "text": block.text,
                            "group": block.group,
                            "probe": table.probe,
                            "words": table.words,
                            "states": row.states_of,
                            "unit": POINTS.unit,
                            "n": block.num_examples,
                            "reference": block.reference,
                        }

    def contests(self, tables: Sequence[ProbeTable]) -> Iterator[Contest]:
        several = len({table.how for table in tables}) > 1
        for table in tables:
            for block in table.blocks:
                known = {row.label: row for row in block.rows}
                for row in block.rows:
                    if row.verdict is None or block.reference is None:
                        continue
                    other = known[block.reference]
                    yield Contest(
                        question=f"{block.task} of {table.how}" if several else block.task,
                        arm=row.arm,
                        reference=other.arm,
                        verdict=row.verdict,
                        num_seeds=min(len(row.seeds), len(other.seeds)),
                        doubtful=bool(row.flags or other.flags),
                    )

    def as_json(self, table: ProbeTable) -> Any:
        document = asdict(table)
        for block, shown in zip(document["blocks"], table.blocks, strict=True):
            for row, each in zip(block["rows"], shown.rows, strict=True):
                row["verdict"] = each.verdict
            for line, way in zip(block["lines"], shown.lines, strict=True):
                line["points"] = [
                    {"spent": point.spent.model_dump(), "value": point.value}
                    for point in way.points
                ]
        return document

    def pictures(self, tables: Sequence[ProbeTable]) -> Iterator[tuple[str, bytes]]:
        for table in tables:
            yield f"layers-{files.name_of(table.name)}", draw_layers(table)
            if any(block.lines for block in table.blocks):
                yield f"probes-in-training-{files.name_of(table.name)}", draw_training(table)


def _blocks(table: ProbeTable, block: ProbeBlock) -> Iterator[Block]:
    """Yield the scores of a task, and below them what stands beside them: no page is as wide."""
    title = f"Probes of {block.group}: {table.how}"
    arm, *others = SCORES
    yield Table(
        columns=[*names(arm), *(Column(each, "number") for each in others)],
        parts=[
            Part(
                title=title,
                subtitle=block.subtitle,
                rows=block.scores,
                anchors=len(block.baselines),
            )
        ],
    )
    headings, cells = block.controls
    yield Table(
        columns=[
            *names(headings[0]),
            *(
                words(each)[0] if each == "flags" else Column(each, "number")
                for each in headings[1:]
            ),
        ],
        parts=[Part(title=title, subtitle=f"{block.task}: beside the scores", rows=cells)],
        notes=block.notes,
    )
