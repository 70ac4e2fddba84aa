"""Measure what an objective lets a token look at, from the views that it makes."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch

from lmcompare import rng
from lmcompare.comparison.arms import Result
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, Row, share_of
from lmcompare.errors import UserError
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

    def rows(self, given: Material) -> Sequence[Row]:
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
) -> Row:
    cells = {}
    for arm in given.arms:
        config = arm.results[0].record.config
        found = share(config.objective, min(config.batch.length, LONGEST))
        if isinstance(found, float):
            cells[arm.label] = Cell(shown=SHARE.shown(found), value=found)
        else:
            cells[arm.label] = Cell(why=found or "no token looks at another one")
    return Row(heading=heading, metric=SHARE, cells=cells)
