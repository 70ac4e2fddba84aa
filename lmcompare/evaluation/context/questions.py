"""Tell which tokens are asked for, what stands around them, and how that is changed.

Which tokens depends on the held-out text alone. Each stands in the middle of its context, which
reaches equally far on both sides as long as its document does, so that the sides compare.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lmcompare import rng
from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.context.options import ContextOptions
from lmcompare.evaluation.context.record import Change, Side
from lmcompare.evaluation.heldout_text import Stretch
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text
from lmcompare.vocab import Vocab

Ids = tuple[int, ...]


class TokenInContext(NamedTuple):
    """A token and what stands on both sides of it, on each the nearest token first."""

    left: Ids
    token: int
    right: Ids

    @property
    def ids(self) -> Ids:
        """Return its tokens as they are read."""
        return (*self.left[::-1], self.token, *self.right)

    def side(self, side: Side) -> Ids:
        """Return what stands on one side, the nearest token first."""
        return self.left if side == "left" else self.right

    def with_side(self, side: Side, ids: Ids) -> "TokenInContext":
        """Return it with one of its sides changed."""
        return self._replace(left=ids) if side == "left" else self._replace(right=ids)


@dataclass(frozen=True, kw_only=True)
class AskedToken:
    """A token that is asked for.

    Attributes:
        row: the token with its whole context.
        text: the number of the stretch that it stands in.
        document: the number of its document.
        other: tokens of another text, as they are read.
    """

    row: TokenInContext
    text: int
    document: int
    other: Ids = ()

    def changed(self, change: Change, side: Side, distance: int) -> TokenInContext:
        """Return the row in which one side is changed beyond a distance.

        What is not cut keeps its length, and every token its place.
        """
        whole = self.row.side(side)
        near, far = whole[:distance], whole[distance:]
        if change == "cut" or not far:
            return self.row.with_side(side, near)
        if change == "shuffled":
            stream = rng.generator("shuffled context", side, distance, *self.row.ids)
            order = torch.randperm(len(far), generator=stream).tolist()
            return self.row.with_side(side, (*near, *(far[each] for each in order)))
        found = tuple(np.resize(self.other, len(far)).tolist())
        return self.row.with_side(side, near + (found[::-1] if side == "left" else found))


@dataclass(frozen=True, kw_only=True)
class ContextQuestions:
    """Tell what every model of a text is asked.

    Attributes:
        questions: in an order of which any first ones are a sample.
        num_curves: of the first questions, sides are cut at each distance.
        num_changed: of the first questions, sides are shuffled and replaced.
        reach: tokens of context on each side, at most.
        digest: a hash of all of it.
    """

    questions: Sequence[AskedToken]
    num_curves: int
    num_changed: int
    reach: int
    digest: str

    @staticmethod
    def drawn(
        model: LoadedModel, options: ContextOptions, *, cache: Path, warn: Callable[[str], None]
    ) -> "ContextQuestions":
        """Return those to ask.

        Raises:
            UserError: an unreadable text, or one that has no token with context on both sides.
        """
        reach = min(options.reach, (model.length - 2) // 2)
        documents = heldout_text.documents(model, options, cache=cache, warn=warn)
        around = heldout_text.stretches(documents, model.tokenizer, 2 * reach + 1, shortest=1)
        found = [*islice(_asked(around, model, reach, options.num_tokens), options.num_tokens)]
        if len({each.text for each in found}) < 2:
            raise UserError(
                f"{options.source} has no two stretches of text with context on both sides of a "
                "token: choose another text with `data=` or `split=`, or more `asked_tokens=`"
            )
        if len(found) < options.num_tokens:
            warn(
                f"{options.source} has {len(found):,} tokens with context on both sides, and "
                f"{options.num_tokens:,} were wanted: these are asked for"
            )
        num_curves = min(options.num_curve_tokens, len(found))
        num_changed = min(options.num_changed_tokens, num_curves)
        asked = np.array([[len(each.row.left), len(each.row.right)] for each in found])
        ids = (np.array(each.row.ids) for each in found)
        return ContextQuestions(
            questions=[
                replace(each, other=_another(found, number).ids)
                for number, each in enumerate(found)
            ],
            num_curves=num_curves,
            num_changed=num_changed,
            reach=reach,
            digest=heldout_text.digest([np.array([reach, num_curves, num_changed]), asked, *ids]),
        )

    @property
    def distances(self) -> tuple[int, ...]:
        """Return 0, the powers of two, and the reach."""
        powers = (2**exponent for exponent in count())
        found = [0]
        while (distance := next(powers)) < self.reach:
            found.append(distance)
        return (*found, self.reach)


def _asked(
    stretches: Iterator[Stretch], model: LoadedModel, reach: int, most: int
) -> Iterator[AskedToken]:
    """Yield a token of each stretch, then a second one of each, and so on."""
    going = [
        (text, each, places)
        for text, each in enumerate(islice(stretches, most))
        if len(places := _places(each, model))
    ]
    for turn in range(2 * reach + 1):
        for text, each, places in going:
            if turn < len(places):
                ids = each.document.ids
                place = int(places[turn])
                yield AskedToken(
                    row=TokenInContext(
                        left=tuple(ids[max(0, place - reach) : place][::-1].tolist()),
                        token=int(ids[place]),
                        right=tuple(ids[place + 1 : place + 1 + reach].tolist()),
                    ),
                    text=text,
                    document=each.number,
                )


def _places(stretch: Stretch, model: LoadedModel) -> np.ndarray:
    """Return the tokens that can be asked for, in an order that depends on the stretch alone."""
    document, start, stop = stretch.document, stretch.start, stretch.stop
    able = heldout_text.is_text(heldout_text.cut(document, start, stop), model.tokenizer)
    places = start + np.flatnonzero(able)
    places = places[(places > 0) & (places < len(document) - 1)]
    stream = rng.generator("context", *document.ids[start:stop].tolist())
    order = torch.rand(len(places), generator=stream).argsort(stable=True)
    found: np.ndarray = places[order.numpy()]
    return found


def _another(questions: Sequence[AskedToken], number: int) -> TokenInContext:
    """Return the row of a question far away, of another document where there is one."""
    own, first = questions[number], number + len(questions) // 2
    others = [*range(first, first + len(questions))]

    def nearest(apart: Callable[[AskedToken], bool]) -> TokenInContext | None:
        around = (questions[each % len(questions)] for each in others)
        return next((each.row for each in around if apart(each)), None)

    found = nearest(lambda each: each.document != own.document)
    return found or nearest(lambda each: each.text != own.text) or own.row


def as_text(rows: Sequence[TokenInContext], vocab: Vocab) -> tuple[Text, Bool[Tensor, "B T"]]:
    """Return rows of one length as a text, and which token of each is asked for."""
    tokens = torch.tensor([[vocab.bos, *row.ids] for row in rows])
    index = torch.arange(tokens.shape[1])
    asked = index == torch.tensor([[1 + len(row.left)] for row in rows])
    text = Text(
        tokens=tokens,
        visible=torch.ones_like(asked),
        word=index.expand_as(tokens),
    )
    return text, asked
