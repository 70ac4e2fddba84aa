"""The second table: what every arm makes of the same hidden tokens, ranked nowhere."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from lmcompare.blocks import Block, Column, Notes, Part, Table, names
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.evaluation.infilling.hidden_texts import HIDDEN
from lmcompare.evaluation.infilling.kind import scores
from lmcompare.evaluation.infilling.measure import PROTOCOLS
from lmcompare.evaluation.infilling.record import Hidden, InfillingRecord
from lmcompare.evaluation.metric import MISSING, with_interval
from lmcompare.objectives import Form, Likelihood, Protocol
from lmcompare.stats.intervals import Estimate
from lmcompare.stats.significance import estimate

HEADINGS = ("arm", "asked", *HIDDEN)
ANCHOR = "unigram anchor"
TITLES: Mapping[Form, str] = {
    "told": "The same question to all, the length of each hole told: bits per byte of hidden "
    "tokens",
    "untold": "The same question, no length told: bits per byte of hidden tokens, their ends "
    "counted",
}
MARKS = (
    "Bits/byte of what is hidden, given the rest of the text: one token of it, shares of its "
    "tokens, or its second half given its first.",
    "asked: in-order: one token after another, each given those before it; at-once: each by "
    "itself; surest-first: one after another, the surest guess first; random-orders: a bound over "
    "orders. Compare rows that were asked alike; in-order is the protocol that all have.",
    "≤: an upper bound. l: given only what stands before, as the objective cannot use what stands "
    "after. n: new to it, as training never hid so much of a text. Cells with different marks "
    "cannot be compared.",
    "±: half of a 95% interval over texts and, of three seeds or more, over seeds. All cells of a "
    "column are of the same texts, and so differ at random by less than their intervals say.",
)
_ENDS = (
    "The anchor counts ends at the rate at which these holes end. What is told a length and what "
    "is not cannot be compared."
)


@dataclass(frozen=True, kw_only=True)
class InfillingAnswer:
    """What an arm makes of one question."""

    bits_per_byte: Estimate  # over texts and seeds
    seeds: Sequence[int]
    scoring: str
    likelihood: Likelihood
    left_only: bool
    new: bool  # training never hid so much

    @property
    def cell(self) -> str:
        """Return the cell of the table, with room for a sign in front."""
        limit = "≤" if self.likelihood == "bound" else " "
        signs = f"{' l' if self.left_only else ''}{' n' if self.new else ''}"
        return f"{limit}{with_interval(self.bits_per_byte)}{signs}"


@dataclass(frozen=True, kw_only=True)
class InfillingRow:
    """An arm, asked by one protocol; what it does not answer is None."""

    label: str
    protocol: Protocol
    finished: bool
    answers: Mapping[Hidden, InfillingAnswer | None]


@dataclass(frozen=True, kw_only=True)
class InfillingTable:
    """Answers about the same places of the same texts, in one form of the question."""

    form: Form
    source: str
    text: str  # hash
    num_texts: int
    length: int
    rows: Sequence[InfillingRow]
    anchor: Mapping[Hidden, tuple[float, float] | None]  # lowest and highest of all runs
    notes: Sequence[str]

    @property
    def title(self) -> str:
        """Return what was asked."""
        return TITLES[self.form]

    @property
    def subtitle(self) -> str:
        """Return what was asked about."""
        return (
            f"{self.num_texts} texts of {self.source} {self.text[:8]}, {self.length} tokens each "
            "at most"
        )

    @property
    def cells(self) -> list[list[str]]:
        """Return the rows under `HEADINGS`, the anchor last."""
        none = f" {MISSING}"
        shown = [
            [
                row.label,
                row.protocol,
                *(none if each is None else each.cell for each in row.answers.values()),
            ]
            for row in self.rows
        ]
        anchors = (
            none if ends is None else f" {' to '.join(dict.fromkeys(f'{end:.3f}' for end in ends))}"
            for ends in self.anchor.values()
        )
        return [*shown, [ANCHOR, "", *anchors]]


def infilling_tables(arms: Sequence[Arm]) -> list[InfillingTable]:
    """Return a table for each form and set of hidden tokens that an arm was asked for."""
    measured = {
        arm.label: [
            (result, record)
            for result in arm.results
            for record in result.of(InfillingRecord)
            if not result.is_stale(record)
        ]
        for arm in arms
    }
    asked = {_about(each): each for own in measured.values() for _, each in own}
    return [_table(arms, measured, asked[key]) for key in sorted(asked)]


_Measured = Mapping[str, Sequence[tuple[Result, InfillingRecord]]]  # by arm, each with its run


def _about(record: InfillingRecord) -> tuple[str, str, Form]:
    assert record.form is not None, "older ones are left out"
    return record.source, record.text, record.form


def _table(arms: Sequence[Arm], measured: _Measured, about: InfillingRecord) -> InfillingTable:
    rows: list[InfillingRow] = []
    anchors: dict[Hidden, list[float]] = {hidden: [] for hidden in HIDDEN}
    silent: dict[tuple[str, Hidden], list[str]] = {}
    partly: list[str] = []
    for protocol, arm in product(PROTOCOLS, arms):
        own: dict[Hidden, list[tuple[Result, InfillingRecord]]] = {}
        for result, each in measured[arm.label]:
            if _about(each) == _about(about) and each.protocol == protocol:
                own.setdefault(each.hidden, []).append((result, each))
        if not own:
            continue
        called = arm.label if protocol == "in-order" else f"{arm.label} {protocol}"
        answers: dict[Hidden, InfillingAnswer | None] = {}
        for hidden in HIDDEN:
            found = own.get(hidden, [])
            bits = [each.unigram_bits_per_byte for _, each in found]
            anchors[hidden] += [each for each in bits if each is not None]
            answer = _answer(found)
            answers[hidden] = answer if isinstance(answer, InfillingAnswer) else None
            if not isinstance(answer, InfillingAnswer):
                silent.setdefault((answer, hidden), []).append(called)
            elif len(answer.seeds) < len(arm.results):
                num = f"{len(answer.seeds)} of {len(arm.results)} seeds"
                partly.append(f"{hidden} of {called}: {num}")
        rows.append(
            InfillingRow(label=arm.label, protocol=protocol, finished=arm.finished, answers=answers)
        )
    source, text, form = _about(about)
    return InfillingTable(
        form=form,
        source=source,
        text=text,
        num_texts=about.num_texts,
        length=about.length,
        rows=rows,
        anchor={
            hidden: (min(ends), max(ends)) if ends else None for hidden, ends in anchors.items()
        },
        notes=[*([_ENDS] if form == "untold" else []), *_reasons(silent), *partly],
    )


def _answer(found: Sequence[tuple[Result, InfillingRecord]]) -> InfillingAnswer | str:
    """Return the mean over seeds, or why there is none."""
    answered = [(result, each) for result, each in found if each.nats is not None]
    if not answered:
        return next((each.reason for _, each in found if each.reason), "not asked")
    ways = {(each.scoring, each.likelihood, each.left_only) for _, each in answered}
    (scoring, likelihood, left_only), *others = ways
    if others or scoring is None or likelihood is None:
        return "its seeds answered in different ways: ask again with `lmcompare eval --force`"
    return InfillingAnswer(
        bits_per_byte=estimate(scores([(result.run, each) for result, each in answered])),
        seeds=sorted(result.seed for result, _ in answered),
        scoring=scoring,
        likelihood=likelihood,
        left_only=left_only,
        new=any(result.is_new(each, each.scoring) for result, each in answered),
    )


def _reasons(silent: Mapping[tuple[str, Hidden], Sequence[str]]) -> Iterator[str]:
    """Yield why there are dashes; the questions of one reason and the same arms together."""
    found: dict[tuple[str, str], list[str]] = {}
    for (reason, hidden), labels in silent.items():
        found.setdefault((", ".join(labels), reason), []).append(hidden)
    for (labels, reason), questions in found.items():
        yield f"{MISSING} {', '.join(questions)} of {labels}: {reason}"


class InfillingTables(ResultTables[InfillingTable]):
    """A table for each set of hidden tokens and form of the question."""

    key = "infilling"
    record = InfillingRecord
    lacks = "not asked for hidden tokens"

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[InfillingTable]:
        return infilling_tables(arms)

    def blocks(self, tables: Sequence[InfillingTable]) -> Iterator[Block]:
        yield from map(_block, tables)
        if tables:
            yield Notes(MARKS)


def _block(table: InfillingTable) -> Block:
    if not any(answer for row in table.rows for answer in row.answers.values()):
        return Notes([f"{table.title.partition(':')[0]}: no arm can be asked so", *table.notes])
    questions = (Column(f" {each}", "number") for each in HEADINGS[2:])
    return Table(
        columns=[*names(*HEADINGS[:2]), *questions],
        parts=[Part(title=table.title, subtitle=table.subtitle, rows=table.cells, anchors=1)],
        notes=table.notes,
    )
