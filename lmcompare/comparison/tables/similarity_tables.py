"""The tables of similarity in a comparison: arms beside what seeds of one arm differ by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from lmcompare import files
from lmcompare.blocks import Block, Column, Notes, Part, Table, names, numbers
from lmcompare.comparison.arms import Arm
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.figures.similarity_maps import draw_similarity
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.comparison.tables.similarity import ArmPair, Gap, SimilarityTable
from lmcompare.comparison.tables.similarity_results import Known, arm_of, similarity_tables
from lmcompare.evaluation.metric import MISSING
from lmcompare.evaluation.similarity.metrics import HEADINGS
from lmcompare.evaluation.similarity.options import Measure
from lmcompare.evaluation.similarity.record import SimilarityRecord

MARKS = (
    "floor: how alike runs of one arm are that differ in their seed, of the arm that has less of "
    "it. All are means over pairs of runs of unlike seeds. below: floor less similarity, with its "
    "95% interval over seeds and words.",
    "differ: yes where the arms are less alike than seeds are, by more than that interval; no says "
    "that this was not shown, and not that they are alike. null: the 95% quantile where words are "
    "exchanged at random. best: the layer of the second arm that is most like it.",
)
OTHERS = "Each with its floor in brackets; * where the arms are below it by more than the interval."


class SimilarityTables(ResultTables[SimilarityTable]):
    """A table for all arms whose states were compared on the same words."""

    key = "similarity"
    record = SimilarityRecord

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[SimilarityTable]:
        return similarity_tables(arms)

    def blocks(self, tables: Sequence[SimilarityTable]) -> Iterator[Block]:
        for table in tables:
            if len(table.arms) > 2:
                yield _overview(table)
            yield _first(table)
            if len(table.measures) > 1:
                yield _others(table)
            yield Notes([*table.notes])
        if tables:
            several = any(len(table.measures) > 1 for table in tables)
            yield Notes([*MARKS, *([OTHERS] if several else [])])

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[SimilarityTable], *, reference: str | None
    ) -> Iterator[str]:
        known = Known.of(arms)
        if known.outdated:
            yield (
                "compared with an earlier model of a run that was trained anew, and left out: "
                + self._command(_places(arms))
            )
        if missing := _num_missing(arms, known):
            what = "pair of runs" if missing == 1 else "pairs of runs"
            yield f"{missing:,} {what} not compared: {self._command(_places(arms))}"
        if tables and not can_draw():
            yield "no map of similarity: it needs pip install 'lmcompare[plots]'"

    def _command(self, runs: Sequence[str]) -> str:
        return f"`lmcompare similarity {' '.join(runs)}`"

    def rows(
        self, tables: Sequence[SimilarityTable], arms: Mapping[str, Arm]
    ) -> Iterator[dict[str, object]]:
        for table in tables:
            for pair in table.pairs:
                for name, grid in pair.grids.items():
                    for layer, gap in grid.gaps.items():
                        if gap.below is not None:
                            arm = arm_of(pair.one, arms)
                            yield arms[arm].columns | {
                                "states": pair.one.removeprefix(arm).strip() or None,
                                "reference": pair.other,
                                "metric": f"{name}_similarity below floor",
                                "source": table.source,
                                "text": table.text,
                                "words": table.words,
                                "layer": layer,
                                "other_layer": layer,
                                "value": gap.below.value,
                                "low": gap.below.low,
                                "high": gap.below.high,
                                "n": pair.num_pairs,
                            }

    def as_json(self, table: SimilarityTable) -> Any:
        document = asdict(table)
        for shown, pair in zip(document["pairs"], table.pairs, strict=True):
            for name, grid in pair.grids.items():
                for layer, gap in grid.gaps.items():
                    shown["grids"][name]["gaps"][layer]["differs"] = gap.differs
        return document

    def pictures(self, tables: Sequence[SimilarityTable]) -> Iterator[tuple[str, bytes]]:
        for table in tables:
            yield f"similarity-{files.name_of(table.name)}", draw_similarity(table)


def _places(arms: Sequence[Arm]) -> list[str]:
    """Return what to type to mean all runs of some arms: their studies where they are in some."""
    folders = {result.run.path.parent for arm in arms for result in arm.results}
    return [str(each) for each in sorted(folders, key=str) if each != Path()]


def _num_missing(arms: Sequence[Arm], known: Known) -> int:
    """Return how many pairs of runs lack a result, where some have one."""
    hashes = [result.run.hash for arm in arms for result in arm.results if result.finished]
    pairs = {frozenset(each) for each in combinations(hashes, 2)}
    return len(pairs - known.compared) if known.compared else 0


def _overview(table: SimilarityTable) -> Table:
    """Return the first measure of all pairs of arms, as means over the layers after the first."""
    name, arms = table.measures[0], table.arms
    cells: dict[tuple[str, str], str] = {}
    for pair in table.pairs:
        gaps = [gap for layer, gap in pair.grids[name].gaps.items() if layer]
        between = f"{fmean(gap.between for gap in gaps):.2f}" if gaps else MISSING
        star = "*" if any(gap.differs for gap in gaps) else ""
        cells[pair.one, pair.other] = cells[pair.other, pair.one] = between + star
        for number, arm in enumerate((pair.one, pair.other)):
            floors = [each for gap in gaps if (each := gap.floors[number]) is not None]
            cells[arm, arm] = f"({fmean(floors):.2f})" if floors else MISSING
    return Table(
        columns=[*names("arm"), *numbers(*arms)],
        parts=[
            Part(
                title=f"{HEADINGS[name]} of all arms, mean of the layers after the embedding",
                subtitle="in brackets that of seeds of one arm; * less alike than that in a layer",
                rows=[
                    [arm, *(cells.get((arm, other), MISSING) for other in arms[: number + 1])]
                    + [""] * (len(arms) - number - 1)
                    for number, arm in enumerate(arms)
                ],
            )
        ],
    )


def _first(table: SimilarityTable) -> Table:
    """Return the first measure in full, a part for each pair of arms and a row for each layer."""
    name = table.measures[0]
    title = f"{HEADINGS[name]} of {table.num_words:,} words of {table.source} {table.text[:8]}"
    return Table(
        columns=[
            *names("layer"),
            *numbers(HEADINGS[name], "floor", "below", "null"),
            Column("best", "number"),
            Column("differ", "name"),
        ],
        parts=[
            Part(
                title=title,
                subtitle=f"{pair.one} and {pair.other}",
                rows=[
                    [
                        str(layer),
                        f"{gap.between:.3f}",
                        _floor(gap),
                        _below(gap),
                        _number(pair.null(name, layer)),
                        _best(pair, name, layer),
                        {None: MISSING, True: "yes", False: "no"}[gap.differs],
                    ]
                    for layer, gap in pair.grids[name].gaps.items()
                ],
            )
            for pair in table.pairs
            if name in pair.grids
        ],
    )


def _others(table: SimilarityTable) -> Table:
    """Return all other measures, each beside its floor."""
    others = table.measures[1:]
    return Table(
        columns=[*names("layer"), *numbers(*(HEADINGS[name] for name in others))],
        parts=[
            Part(
                title="Other measures, each with its floor in brackets",
                subtitle=f"{pair.one} and {pair.other}",
                rows=[
                    [str(layer), *(_beside_floor(pair, name, layer) for name in others)]
                    for layer in pair.layers
                    if layer in pair.other_layers
                ],
            )
            for pair in table.pairs
        ],
    )


def _beside_floor(pair: ArmPair, name: Measure, layer: int) -> str:
    gap = pair.grids[name].gaps.get(layer) if name in pair.grids else None
    if gap is None:
        return MISSING
    return f"{gap.between:.2f} ({_floor(gap, '.2f')}){'*' if gap.differs else ' '}"


def _floor(gap: Gap, pattern: str = ".3f") -> str:
    if None in gap.floors:
        return MISSING
    return format(min(each for each in gap.floors if each is not None), pattern)


def _below(gap: Gap) -> str:
    if gap.below is None:
        return MISSING
    return f"{gap.below.value:+.3f} ±{gap.below.high - gap.below.value:.3f}"


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _best(pair: ArmPair, name: Measure, layer: int) -> str:
    best = pair.best(name, layer)
    return MISSING if best is None else f"{best[0]}: {best[1]:.3f}"
