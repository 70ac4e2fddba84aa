"""The table of lexical knowledge: what words cost every arm, by how often it has read them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from lmcompare.blocks import Block, Column, Notes, Part, Table, names
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.evaluation.lexical.kind import FEWEST
from lmcompare.evaluation.lexical.metrics import LexicalAnswers
from lmcompare.evaluation.lexical.record import BANDS, GROUPS, LexicalRecord
from lmcompare.evaluation.metric import MISSING
from lmcompare.stats.intervals import Estimate
from lmcompare.stats.significance import estimate

TITLE = "Lexical knowledge: nats of a word, by how often it was read in training"
WORDS = "words"
MARKS = (
    "All tokens of a word are hidden, and their number is told. Columns: how often the arm had "
    "read the word when it was asked; rare words are longer, so that columns differ by more than "
    "that. Compare arms within a column.",
    "in the text before: the word stands before in what is shown of its text, and could be copied. "
    "known pair: the arm had read it after the same word. new pair: it had read both words, and "
    "never one after the other.",
    "words: the fewest that an arm was asked for. ±: half of a 95% interval over texts and, of "
    f"three seeds or more, over seeds. {MISSING}: fewer than {FEWEST} words.",
)


@dataclass(frozen=True, kw_only=True)
class LexicalRow:
    """Tell what words cost an arm, by group and band; nothing where it cannot be asked."""

    label: str
    seeds: Sequence[int]
    left_only: bool
    reason: str
    nats: Mapping[str, Mapping[str, Estimate]]
    num: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class LexicalTable:
    """Answers about the same words of one text."""

    source: str
    text: str  # hash
    num_words: int
    rows: Sequence[LexicalRow]

    @property
    def notes(self) -> list[str]:
        """Return what must be known of some rows."""
        left = [row.label for row in self.rows if row.left_only]
        said = [f"given only what stands before a word: {', '.join(left)}"] if left else []
        return [*said, *(f"{MISSING} {row.label}: {row.reason}" for row in self.rows if row.reason)]


def lexical_tables(arms: Sequence[Arm]) -> list[LexicalTable]:
    """Return a table for each set of words that an arm was asked for.

    Raises:
        UserError: the items behind a result are missing or broken.
    """
    found: dict[tuple[str, str], dict[str, list[tuple[Result, LexicalRecord]]]] = {}
    for arm in arms:
        for result in arm.results:
            for record in result.of(LexicalRecord):
                if not result.is_stale(record):
                    about = found.setdefault((record.source, record.text), {})
                    about.setdefault(arm.label, []).append((result, record))
    return [
        LexicalTable(
            source=source,
            text=text,
            num_words=next(iter(own.values()))[0][1].num_words,
            rows=[_row(arm.label, own[arm.label]) for arm in arms if arm.label in own],
        )
        for (source, text), own in sorted(found.items())
    ]


def _row(label: str, found: Sequence[tuple[Result, LexicalRecord]]) -> LexicalRow:
    answers = LexicalAnswers.of([(result.run, record) for result, record in found])
    able = bool(answers.records)
    num = {
        group: {band: answers.num(group, band) if able else 0 for band in BANDS} for group in GROUPS
    }
    return LexicalRow(
        label=label,
        seeds=[each.seed for each in answers.records],
        left_only=able and answers.records[0].given == "left",
        reason="" if able else found[0][1].reason or "no answer",
        nats={
            group: {
                band: estimate(answers.scores(group, band))
                for band in BANDS
                if num[group][band] >= FEWEST
            }
            for group in GROUPS
        },
        num=num,
    )


class LexicalTables(ResultTables[LexicalTable]):
    """A table for each set of words."""

    key = "lexical"
    record = LexicalRecord
    lacks = "lexical knowledge not measured"

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[LexicalTable]:
        return lexical_tables(arms)

    def blocks(self, tables: Sequence[LexicalTable]) -> Iterator[Block]:
        for table in tables:
            yield Table(
                columns=[*names("arm"), *(Column(band, "number") for band in BANDS)],
                parts=[
                    Part(
                        title=TITLE,
                        subtitle=f"{group}, of {table.num_words:,} of {table.source} "
                        f"{table.text[:8]}",
                        rows=_cells(table, group),
                        anchors=1,
                    )
                    for group in GROUPS
                ],
                notes=table.notes,
            )
        if tables:
            yield Notes(MARKS)


def _cells(table: LexicalTable, group: str) -> list[list[str]]:
    rows = [
        [row.label, *(_shown(row.nats[group].get(band)) for band in BANDS)] for row in table.rows
    ]
    able = [row for row in table.rows if not row.reason]
    nums = [min((row.num[group][band] for row in able), default=0) for band in BANDS]
    return [*rows, [WORDS, *(f"{num:,}" for num in nums)]]


def _shown(nats: Estimate | None) -> str:
    if nats is None:
        return MISSING
    half = nats.half_width
    return f"{nats.mean:.2f} ±{MISSING if half is None else format(half, '.2f')}"
