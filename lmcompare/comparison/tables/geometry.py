"""The table of geometry: arms by layers, beside the same models as they started."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from lmcompare import files
from lmcompare.blocks import Block, Column, Notes, Part, Table, names
from lmcompare.comparison.arms import Arm
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.figures.geometry_curves import draw_geometry
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.evaluation.geometry.kind import MEANING
from lmcompare.evaluation.geometry.metrics import METRICS, NORM
from lmcompare.evaluation.geometry.record import GeometryRecord
from lmcompare.evaluation.metric import MISSING, Metric
from lmcompare.stats.intervals import Estimate, mean_interval

Figures = Mapping[str, Estimate]  # by the name of the metric


@dataclass(frozen=True, kw_only=True)
class GeometryRow:
    """A layer of an arm: means over seeds; what is not known is missing.

    Attributes:
        layer: its number.
        trained: of the trained models.
        untrained: of the same as they started.
    """

    layer: int
    trained: Figures
    untrained: Figures


@dataclass(frozen=True, kw_only=True)
class GeometryOfArm:
    """An arm, read in one way."""

    label: str
    objective: str
    num_runs: int
    rows: Sequence[GeometryRow]


@dataclass(frozen=True, kw_only=True)
class GeometryTable:
    """All arms of which the same words were read."""

    source: str
    text: str  # hash of the words
    words: str  # how a word's pieces became one
    num_words: int
    width: int
    arms: Sequence[GeometryOfArm]

    @property
    def name(self) -> str:
        """Return the name of a file for it."""
        return f"{self.source}-{self.text[:8]}"


class AboutGeometry(NamedTuple):
    """Tell which results stand in one table: those about the same words, read alike."""

    source: str
    text: str
    words: str
    wanted: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Records:
    """The results of an arm, read in one way: of trained models, and of those as they started."""

    arm: Arm
    trained: list[GeometryRecord] = field(default_factory=list)
    untrained: list[GeometryRecord] = field(default_factory=list)


class GeometryTables(ResultTables[GeometryTable]):
    """A table for all arms of which the same words were read."""

    key = "geometry"
    record = GeometryRecord
    lacks = "geometry not measured"

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[GeometryTable]:
        found: dict[AboutGeometry, dict[str, Records]] = {}
        for arm in arms:
            for result in arm.results:
                for record in result.of(GeometryRecord):
                    if not result.is_stale(record):
                        about = AboutGeometry(
                            record.source, record.text, record.words, record.wanted
                        )
                        label = f"{arm.label} {record.states_of or ''}".strip()
                        own = found.setdefault(about, {}).setdefault(label, Records(arm))
                        (own.untrained if record.is_untrained else own.trained).append(record)
        tables = []
        for about, of_arms in sorted(found.items()):
            known = {label: own for label, own in of_arms.items() if own.trained}
            for own in [*known.values()][:1]:
                tables.append(
                    GeometryTable(
                        source=about.source,
                        text=about.text,
                        words=about.words,
                        num_words=own.trained[0].num_words,
                        width=max(each.trained[0].width for each in known.values()),
                        arms=[_arm(label, each) for label, each in known.items()],
                    )
                )
        return tables

    def blocks(self, tables: Sequence[GeometryTable]) -> Iterator[Block]:
        for table in tables:
            yield _block(table)
        if tables:
            more = "Each is a mean over seeds; its interval is in the JSON. start: before training."
            yield Notes([f"{MEANING}. {more}"])

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[GeometryTable], *, reference: str | None
    ) -> Iterator[str]:
        if tables and not can_draw():
            yield "no picture of geometry: it needs pip install 'lmcompare[plots]'"

    def pictures(self, tables: Sequence[GeometryTable]) -> Iterator[tuple[str, bytes]]:
        for table in tables:
            yield f"geometry-{files.name_of(table.name)}", draw_geometry(table)


def _arm(label: str, found: Records) -> GeometryOfArm:
    trained, untrained = _means(found.trained), _means(found.untrained)
    return GeometryOfArm(
        label=label,
        objective=found.arm.objective,
        num_runs=len(found.trained),
        rows=[
            GeometryRow(layer=layer, trained=own, untrained=untrained.get(layer, {}))
            for layer, own in sorted(trained.items())
        ],
    )


def _means(records: Sequence[GeometryRecord]) -> dict[int, Figures]:
    """Return the mean over seeds of each figure of each layer."""
    values: dict[int, dict[str, list[float]]] = {}
    for record in records:
        for layer in record.layers:
            own = values.setdefault(layer.layer, {})
            for metric in METRICS:
                if (value := getattr(layer, metric.name)) is not None:
                    own.setdefault(metric.name, []).append(value)
    return {
        layer: {name: mean_interval(each) for name, each in own.items()}
        for layer, own in values.items()
    }


def _block(table: GeometryTable) -> Table:
    columns = names("layer")
    for metric in METRICS:
        columns.append(Column(metric.heading, "number", right=True))
        if metric is not NORM:
            columns.append(Column("start", "number", right=True))
    return Table(
        columns=columns,
        parts=[
            Part(
                title=f"Geometry of {table.num_words:,} words of {table.source} {table.text[:8]}, "
                f"{table.width} dimensions",
                subtitle=f"{arm.label}, {arm.num_runs} {'run' if arm.num_runs == 1 else 'runs'}",
                rows=[[str(row.layer), *_cells(row)] for row in arm.rows],
            )
            for arm in table.arms
        ],
    )


def _cells(row: GeometryRow) -> Iterator[str]:
    for metric in METRICS:
        yield _shown(metric, row.trained)
        if metric is not NORM:
            yield _shown(metric, row.untrained)


def _shown(metric: Metric, figures: Figures) -> str:
    found = figures.get(metric.name)
    return MISSING if found is None else metric.shown(found.mean)
