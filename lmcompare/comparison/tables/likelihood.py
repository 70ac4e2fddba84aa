"""The table: an arm's mean over its seeds in each row, ranked only where that means something."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from lmcompare.blocks import Block, Column, Part, Table, names, numbers
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.sanity_checks import notes_on_likelihoods
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.comparison.tables.likelihood_sections import (
    LikelihoodRow,
    LikelihoodSection,
    sections,
)
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.metric import MISSING, short, with_interval

COLUMNS = (
    *names("arm"),
    Column("bits/byte", "number"),
    Column("", "number"),  # its mark
    *numbers(
        *("bits/\ntoken", "unigram\nanchor", "trigram\nanchor", "valid.\nloss"),
        *("tokens", "targets", "FLOPs", "secs", "params", "seeds"),
    ),
)


def cells(row: LikelihoodRow) -> list[str]:
    """Return what stands in each of `COLUMNS`."""

    def figure(metric: str, pattern: str = ".3f") -> str:
        estimate = row.estimates.get(metric)
        return MISSING if estimate is None else format(estimate.mean, pattern)

    def amount(metric: str) -> str:
        estimate = row.estimates.get(metric)
        return MISSING if estimate is None else short(estimate.mean)

    undisturbed = row.estimates.get("undisturbed_seconds")
    alone = "" if undisturbed is None else f" ({short(undisturbed.mean)} alone)"
    same = row.objective.partition(" ")[0] == row.label
    name = row.objective if same else f"{row.label}: {row.objective}"
    bits = row.estimates.get("bits_per_byte")
    return [
        ", ".join(filter(None, (name, row.scoring, row.window))),
        MISSING if bits is None else with_interval(bits),
        row.mark or "",
        figure("bits_per_token", ".2f"),
        figure("unigram_bits_per_byte"),
        figure("trigram_bits_per_byte"),
        figure("validation_loss"),
        amount("tokens"),
        amount("targets"),
        amount("flops"),
        amount("training_seconds") + alone,
        amount("parameters"),
        str(len(row.seeds))
        if len(row.seeds) == row.num_runs
        else f"{len(row.seeds)} of {row.num_runs}",
    ]


def _footnotes(all_sections: Sequence[LikelihoodSection]) -> list[str]:
    """Return how the table is to be read."""
    notes = [
        "±: half of a 95% interval of the mean over seeds (Student's t), of these documents alone; "
        "±—: one seed."
    ]
    marks = {row.mark for section in all_sections for row in section.rows}
    if marks & {"best", "tie"}:
        notes.append(
            "best: its interval meets no other of its section, on these documents; tie: intervals "
            "meet, no winner."
        )
    if "new to it" in marks:
        notes.append(
            "new to it: training never hid a whole text from this model, so it is asked for what "
            "it did not learn; it is not ranked."
        )
    if "elsewhere" in marks:
        notes.append(
            "elsewhere: trained elsewhere, on a text that is not known, so nothing is held equal; "
            "it is not ranked."
        )
    if any(row.window for section in all_sections for row in section.rows):
        notes.append(
            "Rows of unlike tokenizers share a section where both gave exact likelihoods of the "
            "same bytes. Only their bits/byte compare: tokens of one are longer than those of the "
            "other, and so are bits/token, anchors by frequencies of tokens, and windows. Nothing "
            "is ranked where windows of one tokenizer differ."
        )
    notes += [
        "Each section is ranked by itself: different kinds of likelihood and different texts "
        "cannot be compared, nor can bounds or scores of different scorings.",
        "valid. loss: nats a target, on each objective's own targets; it cannot rank objectives.",
        "unigram anchor: bits/byte of the same text by the frequencies of tokens in the training "
        "text; trigram anchor: by their frequencies after each two tokens (Kneser-Ney).",
    ]
    return notes


class LikelihoodTables(ResultTables[LikelihoodSection]):
    """The sections of the table of likelihoods."""

    key = "likelihood"
    record = LikelihoodRecord

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[LikelihoodSection]:
        return sections(arms, frame)

    def blocks(self, tables: Sequence[LikelihoodSection]) -> Iterator[Block]:
        yield Table(
            columns=COLUMNS,
            parts=[
                Part(
                    title=section.title,
                    subtitle=section.subtitle,
                    rows=[cells(row) for row in section.rows],
                    bold=[row.mark == "best" for row in section.rows],
                )
                for section in tables
            ],
        )

    def footnotes(self, tables: Sequence[LikelihoodSection]) -> Iterator[str]:
        yield from _footnotes(tables)

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[LikelihoodSection], *, reference: str | None
    ) -> Iterator[str]:
        yield from notes_on_likelihoods(arms)

    def lacking(self, results: Sequence[Result]) -> Iterator[str]:
        if runs := self._lacking(results):
            yield f"not evaluated: {self._command(runs)}"

    def is_ranked(self, tables: Sequence[LikelihoodSection]) -> bool:
        marks = {row.mark for section in tables for row in section.rows}
        return bool(marks - {None, "elsewhere"})

    def as_json(self, table: LikelihoodSection) -> Any:
        scored = None if table.scored is None else table.scored._asdict()
        return {"scored": scored, "rows": [asdict(row) for row in table.rows]}
