"""The table of a kind of evaluation that has none of its own: arms by metrics."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from lmcompare.blocks import Block, Column, Part, Table, names
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.evaluation.kind import AnyKind
from lmcompare.evaluation.metric import MISSING, Metric
from lmcompare.runs.records import ResultRecord
from lmcompare.stats.intervals import Estimate, mean_interval


@dataclass(frozen=True, kw_only=True)
class MetricTable:
    """What arms reach of the same text, metric by metric.

    Attributes:
        source: what the text is called.
        text: its hash.
        metrics: those of the columns.
        rows: of each arm by its label, and by how it was measured where that is in several ways:
            the mean over seeds of each metric that it has, by name.
    """

    source: str
    text: str
    metrics: Sequence[Metric]
    rows: dict[str, dict[str, Estimate]]


class MetricTables(ResultTables[MetricTable]):
    """A table of a kind for each text that was asked about."""

    def __init__(self, kind: AnyKind) -> None:
        self._kind = kind
        self.key = kind.name  # type: ignore[misc]
        self.record = kind.record  # type: ignore[misc]
        self.lacks = f"{kind.name} not measured"  # type: ignore[misc]

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[MetricTable]:
        texts = {
            (record.source, record.text)
            for arm in arms
            for result in arm.results
            for record in self._fresh(result)
        }
        return [self._table(arms, *text) for text in sorted(texts)]

    def blocks(self, tables: Sequence[MetricTable]) -> Iterator[Block]:
        for table in tables:
            yield Table(
                columns=[
                    *names("arm"),
                    *(Column(each.heading or each.name, "number") for each in table.metrics),
                ],
                parts=[
                    Part(
                        title=self._kind.options.heading,
                        subtitle=f"{table.source} {table.text[:8]}",
                        rows=[
                            [label, *(_cell(each, found) for each in table.metrics)]
                            for label, found in table.rows.items()
                        ],
                    )
                ],
                notes=[*map(_range, table.metrics)],
            )

    def _fresh(self, result: Result) -> list[ResultRecord]:
        return [each for each in result.of(self.record) if not result.is_stale(each)]

    def _table(self, arms: Sequence[Arm], source: str, text: str) -> MetricTable:
        metrics: dict[str, Metric] = {}
        rows: dict[str, dict[str, Estimate]] = {}
        for arm in arms:
            # by how it was measured and by metric; a run that was measured twice is no two seeds
            found: dict[str, dict[str, list[float]]] = {}
            for result in arm.results:
                for record in self._fresh(result):
                    if (record.source, record.text) == (source, text):
                        values = found.setdefault(_how(record), {})
                        for each in self._kind.measurements(result.run, record):
                            name = each.name or each.metric.name
                            metrics.setdefault(name, replace(each.metric, name=name))
                            values.setdefault(name, []).append(each.value)
            for how, values in found.items():
                label = arm.label if len(found) == 1 else f"{arm.label} ({how})"
                rows[label] = {name: mean_interval(each) for name, each in values.items()}
        return MetricTable(source=source, text=text, metrics=[*metrics.values()], rows=rows)


def _how(record: ResultRecord) -> str:
    """Return how a result was measured, in words."""
    names = [str(each) for each in record.named_by.values() if each is not None]
    return ", ".join([*names, *(f"{key} {each}" for key, each in record.conditions.items())])


def _cell(metric: Metric, found: dict[str, Estimate]) -> str:
    estimate = found.get(metric.name)
    if estimate is None:
        return MISSING
    half = estimate.half_width
    return f"{metric.shown(estimate.mean)} ±{MISSING if half is None else metric.shown(half)}"


def _range(metric: Metric) -> str:
    """Return what a reader must know of a metric: its unit, its range, and which way is better."""
    ends = ""
    if math.isfinite(metric.lowest) and math.isfinite(metric.highest):
        ends = f", from {metric.lowest:g} to {metric.highest:g}"
    better = "" if metric.better is None else f", {metric.better} is better"
    unit = f", {metric.unit}" if metric.unit else ""
    heading = metric.heading or metric.name
    return f"{heading}{unit}{ends}{better}; ±: half of a 95% interval over seeds"
