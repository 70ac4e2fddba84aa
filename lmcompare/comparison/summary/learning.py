"""Tell what an objective learns, in one question that is the same for all, and what that takes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from lmcompare.comparison.arms import Result
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow
from lmcompare.comparison.summary.curves import CALLED, NATS, SPENT
from lmcompare.comparison.summary.training import USED, share_of_machine
from lmcompare.comparison.tables.infilling import InfillingAnswer, InfillingTable
from lmcompare.evaluation.infilling.hidden_texts import HIDDEN
from lmcompare.evaluation.infilling.record import Hidden, InfillingRecord
from lmcompare.evaluation.metric import short
from lmcompare.runs.curves import Axis
from lmcompare.runs.records import LN2
from lmcompare.stats.intervals import Estimate

ASK = "lmcompare eval --tasks infilling RUNS"
COMMON = ("told", "in-order")  # the form and the protocol that all objectives have


class Learns(Aspect):
    """Nats a hidden token, at as much of something as all arms have spent."""

    name: ClassVar[str] = "Learns"
    about: ClassVar[str] = "nats of a hidden token, the same for every arm; the less the better"
    record = InfillingRecord

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        rows = [*_at_equal(given)]
        if len(given.curves.logged) < len(given.results):  # what was logged of some is not of all
            rows += _infilling(given)
        if not rows:
            ask = _ask(given)
            whys = {arm.label: given.curves.why_none(arm.results[0], ask) for arm in given.arms}
            cells = {label: Cell(why=why) for label, why in whys.items()}
            rows.append(SummaryRow(heading="at the end", metric=NATS, cells=cells))
        return rows

    def records(self, result: Result) -> list[InfillingRecord]:  # type: ignore[override]
        return [
            each
            for each in result.of(InfillingRecord)
            if not result.is_stale(each) and (each.form, each.protocol) == COMMON
        ]

    def files(self, result: Result) -> Iterator[Path]:
        yield result.run.metrics_file
        yield from super().files(result)


def _ask(given: Material) -> str:
    """Return the command that asks those runs that did not log the question."""
    lacking = [each for each in given.results if given.curves.of(each) is None]
    return given.command(ASK, lacking)


def _at_equal(given: Material) -> Iterator[SummaryRow]:
    """Yield a row for each thing that is spent, or for the one that is wanted."""
    curves, ask = given.curves, _ask(given)
    for axis in [given.at] if given.at is not None else CALLED:
        amount = curves.reached_by_all(axis)
        if amount is None:
            return
        cells = {arm.label: curves.answers(arm, axis, amount, ask) for arm in given.arms}
        yield SummaryRow(heading=f"at {short(amount)} {CALLED[axis]}", metric=NATS, cells=cells)


def _infilling(given: Material) -> Iterator[SummaryRow]:
    """Yield a row for each kind of hidden tokens that `eval --tasks infilling` asked for."""
    tables: Sequence[InfillingTable] = [
        each for each in given.tables.get("infilling", ()) if each.form == COMMON[0]
    ]
    ask = given.command(ASK, given.results)
    for table in tables:
        text = f" of {table.source} {table.text[:8]}" if len(tables) > 1 else ""
        answers = {row.label: row.answers for row in table.rows if row.protocol == COMMON[1]}
        for hidden in HIDDEN:
            sizes = _tokens_a_byte(given, table, hidden)
            cells = {
                arm.label: _cell(answers.get(arm.label, {}).get(hidden), sizes, ask)
                for arm in given.arms
            }
            if any(not cell.is_empty for cell in cells.values()):
                yield SummaryRow(heading=f"infilling, {hidden}{text}", metric=NATS, cells=cells)


def _tokens_a_byte(given: Material, table: InfillingTable, hidden: Hidden) -> float:
    """Return how many tokens are hidden for each byte, the same for all that were asked."""
    for result in given.results:
        for each in result.of(InfillingRecord):
            if (each.source, each.text, each.hidden) == (table.source, table.text, hidden):
                return each.num_tokens / each.num_bytes
    return 1.0


def _cell(answer: InfillingAnswer | None, tokens_a_byte: float, ask: str) -> Cell:
    if answer is None:
        return Cell(why=f"no answer, or not asked: `{ask}`")
    signs = {"left_only": answer.left_only, "new": answer.new}
    words = {
        "left_only": "given only what stands before it",
        "new": "training never hid so much of a text",
    }
    remarks = "; ".join(words[sign] for sign, holds in signs.items() if holds)
    limit = "≤" if answer.likelihood == "bound" else ""
    return Cell.of(NATS, _in_nats(answer.bits_per_byte, tokens_a_byte), sign=limit, why=remarks)


def _in_nats(bits: Estimate, tokens_a_byte: float) -> Estimate:
    """Return nats a token of bits a byte."""
    factor = LN2 / tokens_a_byte
    low, high = (None if each is None else factor * each for each in (bits.low, bits.high))
    return replace(bits, mean=factor * bits.mean, low=low, high=high)


class _Efficiency(Aspect):
    """Tell what was spent till a stated quality was reached."""

    axes: ClassVar[tuple[Axis, ...]]

    def words(self, given: Material) -> str:
        quality = given.curves.quality
        if quality is None:
            return f"{self.about} the common question is answered well"
        whose = "as wanted" if given.curves.wanted is not None else "the worst end of these runs"
        return f"{self.about} a hidden token takes {NATS.shown(quality)} nats, {whose}"

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        ask = _ask(given)
        return [
            SummaryRow(
                heading=CALLED[axis],
                metric=SPENT[axis],
                cells={arm.label: given.curves.spent(arm, axis, ask) for arm in given.arms},
            )
            for axis in self.axes
        ]

    def files(self, result: Result) -> Iterator[Path]:
        yield result.run.metrics_file


class DataEfficiency(_Efficiency):
    """Tokens and targets to a quality."""

    name: ClassVar[str] = "Data efficiency"
    about: ClassVar[str] = "what it reads until"
    axes = ("tokens", "targets")


class ComputeEfficiency(_Efficiency):
    """Operations and seconds to a quality, and how much of the machine was used."""

    name: ClassVar[str] = "Compute efficiency"
    about: ClassVar[str] = "what it computes until"
    axes = ("flops", "seconds")

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        cells = given.over_seeds(USED, share_of_machine, why="its time is not known")
        used = SummaryRow(heading="use of the machine", metric=USED, cells=cells)
        return [*super().rows(given), used]
