"""The summary as a value: its rows, how they stand on a page and in JSON, and what is behind them.

Words, such as what an objective is best suited for, are longer than a column of figures; they stand
in a table of their own, an arm a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcompare.blocks import Block, Column, Notes, Part, Table, names, numbers, words
from lmcompare.comparison.arms import Result
from lmcompare.comparison.summary.aspects import ASPECTS
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow
from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation.metric import MISSING

EVERY_ARM = "every arm"
_INTERVALS = (
    "±: half of a 95% interval of the mean over seeds; of what one judge finds in one seed, over "
    "texts. [low, high]: a 95% interval over items and seeds. `lmcompare compare --explain ROW` "
    "lists the files behind a row, `lmcompare compare --table all` prints every table."
)


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A file behind a row, and that of its items, if it has one."""

    arm: str
    seed: int
    file: Path
    items: Path | None
    num_items: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Tell what each arm buys.

    Attributes:
        material: what it was made of.
        aspects: each with its words and its rows.
    """

    material: Material
    aspects: Sequence[tuple[Aspect, str, Sequence[SummaryRow]]]

    @staticmethod
    def of(material: Material) -> "Summary":
        """Return the summary of some arms."""
        found = [(each, each.words(material), each.rows(material)) for each in ASPECTS]
        return Summary(material=material, aspects=found)

    @property
    def labels(self) -> list[str]:
        """Return the arms, in the order of the columns."""
        return [arm.label for arm in self.material.arms]

    def blocks(self) -> Iterator[Block]:
        """Yield what is said of it on a page."""
        whys = _Whys()
        figures, prose, unknown = list[Part](), list[Table](), list[list[str]]()
        for aspect, about, rows in self.aspects:
            title = f"{aspect.name}: {about}"
            if aspect.in_words:
                prose.append(self._prose(title, rows))
            elif reason := _reason_for_all(rows):
                unknown.append([aspect.name, reason])
            else:
                cells = [
                    [row.heading, *(whys.shown(row.cells[label]) for label in self.labels)]
                    for row in rows
                ]
                figures.append(Part(title=title, rows=cells))
        columns = [*names(""), *(Column(label, "number") for label in self.labels)]
        yield Table(columns=columns, parts=figures, notes=whys.notes)
        yield from prose
        if unknown:
            parts = [Part(title="Not known of any arm yet", rows=unknown)]
            yield Table(columns=[*names("row"), *words("why")], parts=parts)
        yield Notes([_INTERVALS])

    def _prose(self, title: str, rows: Sequence[SummaryRow]) -> Table:
        cells = []
        for row in rows:
            said = [
                [label, row.cells[label].shown or f"{MISSING} {row.cells[label].why}"]
                for label in self.labels
            ]
            alike = len(said) > 1 and len({text for _, text in said}) == 1
            cells += [[EVERY_ARM, said[0][1]]] if alike else said
        return Table(columns=[*names("arm"), *words("")], parts=[Part(title=title, rows=cells)])

    def as_json(self) -> list[dict[str, Any]]:
        """Return its rows for a machine; what is not known is null."""
        return [
            {
                "aspect": aspect.name,
                "about": about,
                "row": row.heading,
                "metric": None if row.metric is None else row.metric.name,
                "unit": None if row.metric is None else row.metric.unit or None,
                "arms": {label: _as_json(row.cells[label]) for label in self.labels},
            }
            for aspect, about, rows in self.aspects
            for row in rows
        ]

    def behind(self, name: str) -> list[Behind]:
        """Return the files behind a row.

        Args:
            name: of an aspect, in whatever case, or the beginning of one alone.

        Raises:
            UserError: there is no such row.
        """
        chosen = self._called(name)
        found: dict[Path, Behind] = {}
        for arm in self.material.arms:
            for result in arm.results:
                for aspect in chosen:
                    for file in aspect.files(result):
                        found[file] = _behind(arm.label, result, file)
        return [*found.values()]

    def explained(self, name: str) -> list[Block]:
        """Return the files behind a row on a page; arguments and errors are those of `behind`."""
        found = self.behind(name)
        called = self._called(name)[0].name
        if not found:
            return [Notes([f"nothing was measured for {called}"])]
        rows = [
            [each.arm, str(each.seed), str(each.num_items or ""), str(each.file)] for each in found
        ]
        columns = [*names("arm"), *numbers("seed", "items"), *words("file")]
        parts = [Part(title=f"Behind {called}", rows=rows)]
        beside = "items lie beside each file, a line each, in the `.jsonl` of its name"
        notes = [beside] if any(each.items for each in found) else []
        return [Table(columns=columns, parts=parts, notes=notes)]

    def _called(self, name: str) -> list[Aspect]:
        aspects = [aspect for aspect, _, _ in self.aspects]
        known = {aspect.name.lower(): aspect.name for aspect in aspects}
        wanted = name.strip().lower()
        matching = [each for each in known if wanted and each.startswith(wanted)]
        if wanted not in known and len(matching) != 1:
            meant = did_you_mean(wanted, known)
            raise UserError(f"the summary has no row '{name}': {meant}")
        chosen = known[wanted if wanted in known else matching[0]]
        return [aspect for aspect in aspects if aspect.name == chosen]


class _Whys:
    """The reasons below a table, each with the letters that stand in its cells."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def shown(self, cell: Cell) -> str:
        """Return what stands in the table."""
        if not cell.why:
            return cell.shown or MISSING
        letters = self._letters.setdefault(cell.why, _letters(len(self._letters)))
        return f"{cell.shown or MISSING} ({letters})"

    @property
    def notes(self) -> list[str]:
        """Return what the letters stand for."""
        return [f"({letters}) {why}" for why, letters in self._letters.items()]


def _letters(number: int) -> str:
    """Return a, b, ... z, aa, ab, ..."""
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + last)


def _reason_for_all(rows: Sequence[SummaryRow]) -> str:
    """Return why nothing is known of any arm, if that is one reason for all; else nothing."""
    cells = [cell for row in rows for cell in row.cells.values()]
    whys = {cell.why for cell in cells}
    return whys.pop() if all(cell.is_empty for cell in cells) and len(whys) == 1 else ""


def _as_json(cell: Cell) -> dict[str, Any]:
    return {
        "shown": cell.shown or None,
        "value": cell.value,
        "low": cell.low,
        "high": cell.high,
        "why": cell.why or None,
    }


def _behind(label: str, result: Result, file: Path) -> Behind:
    items = file.with_suffix(".jsonl")
    if file.suffix != ".json" or not items.exists():
        return Behind(arm=label, seed=result.seed, file=file, items=None, num_items=0)
    with items.open("rb") as lines:
        num = sum(1 for _ in lines)
    return Behind(arm=label, seed=result.seed, file=file, items=items, num_items=num)
