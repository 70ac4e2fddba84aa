"""Measure what an objective lets a token look at, and tell what trained models make of it."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch

from lmcompare import rng
from lmcompare.comparison.arms import Result
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow, share_of
from lmcompare.comparison.tables.context import ContextRow, ContextTable, shown_with_ends
from lmcompare.errors import UserError
from lmcompare.evaluation.context.kind import SEES_NOTHING
from lmcompare.evaluation.context.metrics import GAIN, GRADIENT, LENGTH
from lmcompare.evaluation.context.record import ContextRecord, Side
from lmcompare.evaluation.metric import Metric
from lmcompare.objectives import Objective
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import ALIASES, NUM_SENTINELS, Vocab

SHARE = share_of("visible_to_the_right", ".0%")
ROWS, LONGEST = 16, 128  # of the made text; of longer rows the shares are the same
_WORDS = 101  # ids that are text


def share_to_the_right(view: View) -> float | None:
    """Return which share of what the positions of a view look at stands to their right.

    Own positions do not count, nor what a decoder sees of its source, which stands in another
    text. None where nobody looks at another one.
    """
    left, right = _pairs(view)
    return right / (left + right) if left + right else None


def _pairs(view: View) -> tuple[int, int]:
    """Count pairs of a position and one that it looks at, to its left and to its right."""
    place = view.position
    if view.within is not None:  # a span shares the position of the hole that it fills
        place = place * (1 + int(view.within.max())) + view.within
    looks = (view.visible | (view.target != IGNORE))[:, :, None] & view.sees()
    left = int((looks & (place[:, None, :] < place[:, :, None])).sum())
    right = int((looks & (place[:, None, :] > place[:, :, None])).sum())
    if view.source is None:
        return left, right
    before, after = _pairs(view.source)
    return left + before, right + after


def _made_text(length: int) -> tuple[Text, Vocab]:
    """Return rows of words at random, and a vocabulary that has whatever an objective needs."""
    num = len(ALIASES)
    specials = num + NUM_SENTINELS
    vocab = Vocab(
        size=specials + _WORDS,
        roles={role: number for number, role in enumerate(ALIASES)},
        specials=frozenset(range(specials)),
        sentinels=tuple(range(num, specials)),
        sentence_ends=frozenset({specials}),
    )
    stream = rng.generator("attention")
    tokens = torch.randint(specials, vocab.size, (ROWS, length), generator=stream)
    tokens[:, 0] = vocab.bos
    text = Text(
        tokens=tokens,
        visible=torch.ones_like(tokens, dtype=torch.bool),
        word=torch.arange(length).expand_as(tokens),
    )
    return text, vocab


@cache
def _share(objective: Objective, length: int, *, training: bool) -> float | str | None:
    """Return the share, or why there is none."""
    text, vocab = _made_text(length)
    try:
        if training:
            return share_to_the_right(objective.corrupt(text, vocab, rng.generator("attention", 1)))
        return share_to_the_right(objective.read(text, vocab))
    except UserError as error:
        return str(error)


class AttentionDirection(Aspect):
    """Tell which share of what a token looks at stands to its right: 0 of a causal model."""

    name: ClassVar[str] = "Attention"
    about: ClassVar[str] = "of what a token may look at, the share that stands to its right"

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        return [
            _row(given, "in training", lambda each, length: _share(each, length, training=True)),
            _row(
                given, "reading a text", lambda each, length: _share(each, length, training=False)
            ),
        ]

    def files(self, result: Result) -> Iterator[Path]:
        yield result.run.record_file


def _row(
    given: Material, heading: str, share: Callable[[Objective, int], float | str | None]
) -> SummaryRow:
    cells = {}
    for arm in given.arms:
        config = arm.results[0].record.config
        found = share(config.objective, min(config.batch.length, LONGEST))
        if isinstance(found, float):
            cells[arm.label] = Cell(shown=SHARE.shown(found), value=found)
        else:
            cells[arm.label] = Cell(why=found or "no token looks at another one")
    return SummaryRow(heading=heading, metric=SHARE, cells=cells)


class ContextUse(Aspect):
    """Tell what a model gains from each side of a token, how far off, and what moves its answer."""

    name: ClassVar[str] = "Context"
    about: ClassVar[str] = "what a trained model makes of what stands around a token"
    record = ContextRecord
    measure: ClassVar[str] = "lmcompare eval --tasks context RUNS"

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        tables: Sequence[ContextTable] = given.tables.get("context", ())
        if not tables:
            return self.nothing(given)
        lacking = self.not_measured(given)
        rows = []
        for table in tables:
            known = {row.label: row for row in table.rows}
            where = f", {table.name}" if len(tables) > 1 else ""
            for heading, metric, cell in _FIGURES:
                cells = {
                    arm.label: _cell(known.get(arm.label), metric, cell, lacking)
                    for arm in given.arms
                }
                rows.append(SummaryRow(heading=f"{heading}{where}", metric=metric, cells=cells))
        return rows


def _cell(
    row: ContextRow | None, metric: Metric, cell: Callable[[ContextRow, Metric], Cell], lacking: str
) -> Cell:
    if row is None:
        return Cell(why=lacking)
    return cell(row, metric) if row.gain else Cell(why=row.reason)


def _gain(side: Side) -> Callable[[ContextRow, Metric], Cell]:
    def cell(row: ContextRow, metric: Metric) -> Cell:
        if not row.sees(side):
            return Cell(shown="0", value=0.0, low=0.0, high=0.0, why=SEES_NOTHING)
        return Cell.of(metric, row.gain[side])

    return cell


def _length(side: Side) -> Callable[[ContextRow, Metric], Cell]:
    def cell(row: ContextRow, metric: Metric) -> Cell:
        length = row.length[side]
        if length is None:
            return Cell(why=f"gains nothing on the {side}" if row.sees(side) else SEES_NOTHING)
        return Cell(
            shown=shown_with_ends(length, side),
            value=length.value,
            low=length.low,
            high=length.high,
            why=_BEYOND if length.at_least else "",
        )

    return cell


def _gradient(row: ContextRow, metric: Metric) -> Cell:
    share = row.gradient.get("right")
    return Cell(why="nothing moves its answers") if share is None else Cell.of(metric, share)


_BEYOND = "reached beyond the last distance that was cut at: `--reach` says how far that is"
_FIGURES: tuple[tuple[str, Metric, Callable[[ContextRow, Metric], Cell]], ...] = (
    ("nats from the left", GAIN["left"], _gain("left")),
    ("nats from the right", GAIN["right"], _gain("right")),
    ("95% of the left, tokens", LENGTH["left"], _length("left")),
    ("95% of the right, tokens", LENGTH["right"], _length("right")),
    ("gradient from the right", GRADIENT, _gradient),
)
