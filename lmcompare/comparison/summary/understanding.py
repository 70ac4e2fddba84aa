"""Tell what a trained model can tell of language: in benchmarks, and to probes of its states."""

import shlex
from collections.abc import Sequence
from typing import ClassVar

from lmcompare.comparison.arms import Arm
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow
from lmcompare.comparison.tables.probes import ProbeTable
from lmcompare.comparison.tables.tasks import BenchmarkTable
from lmcompare.comparison.tables.verdicts import shown
from lmcompare.evaluation.probes.metrics import SCORE
from lmcompare.evaluation.probes.record import ProbeRecord
from lmcompare.evaluation.tasks.metrics import metric_of
from lmcompare.evaluation.tasks.record import TaskRecord

_SEE = "no answer: `lmcompare compare --table benchmark` says why"


class Understanding(Aspect):
    """Give a row to each benchmark and protocol."""

    name: ClassVar[str] = "Understanding"
    about: ClassVar[str] = "right answers in benchmarks of grammar, understanding and extraction"
    record = TaskRecord
    measure: ClassVar[str] = (
        "lmcompare eval --tasks grammar,understanding,extraction --task-data FOLDER RUNS"
    )

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        tables: Sequence[BenchmarkTable] = given.tables.get("benchmark", ())
        blocks = [block for table in tables for block in table.blocks]
        if not blocks:
            return self.nothing(given)
        rows = []
        for block in blocks:
            metric = metric_of(block.metric)
            found = {row.label: row.value for row in block.rows}
            protocol = "" if block.protocol == "asked" else f" {block.protocol}"
            chance = "" if block.chance is None else f" (chance {shown(block.chance, metric)})"
            unit = ", %" if metric.is_share else ""
            others = [arm for arm in given.arms if arm.label not in found]
            not_asked = _not_asked(given, others, block.task)
            cells = {}
            for arm in given.arms:
                value = found.get(arm.label)
                if value is not None:
                    cells[arm.label] = Cell.of_interval(metric, value)
                elif arm.label in found:  # it was asked, and has no answer
                    cells[arm.label] = Cell(why=_SEE)
                else:
                    cells[arm.label] = Cell(why=not_asked)
            heading = f"{block.task}{protocol}, {block.metric}{unit}{chance}"
            rows.append(SummaryRow(heading=heading, metric=metric, cells=cells))
        return rows


def _not_asked(given: Material, arms: Sequence[Arm], task: str) -> str:
    command = f"lmcompare eval --tasks {shlex.quote(task)} --task-data FOLDER RUNS"
    results = [result for arm in arms for result in arm.results]
    return f"not asked: `{given.command(command, results)}`"


class LinguisticKnowledge(Aspect):
    """A row for each probing task, at each model's best layer."""

    name: ClassVar[str] = "Linguistic knowledge"
    about: ClassVar[str] = "what a probe reads in the best of its layers"
    record = ProbeRecord
    measure: ClassVar[str] = "lmcompare probe RUNS --treebank FILE"

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        tables: Sequence[ProbeTable] = given.tables.get("probes", ())
        blocks = [(table, block) for table in tables for block in table.blocks]
        if not blocks:
            return self.nothing(given)
        several = len({table.how for table, _ in blocks}) > 1
        lacking = self.not_measured(given)
        rows = []
        for table, block in blocks:
            # of a model that was read in several ways the first: to take the best would flatter it
            found = {row.arm: row.value for row in reversed(block.rows)}
            cells = {}
            for arm in given.arms:
                value = found.get(arm.label)
                cells[arm.label] = (
                    Cell(why=lacking) if value is None else Cell.of_interval(SCORE, value)
                )
            how = f" ({table.how})" if several else ""
            rows.append(SummaryRow(heading=f"{block.task}, %{how}", metric=SCORE, cells=cells))
        return rows
