"""The positions of a view as they are read: what stood there, what goes in, what is predicted.

Nothing here knows an objective: the view says it all.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import pad

from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.view import IGNORE, Text, View

# What was done to a position: nothing; hidden; another token put in; predicted though it stays;
# a mark beside the text; a slot that predicts and that nobody looks at; nothing but room.
Change = Literal["", "masked", "replaced", "kept", "special", "query", "padding"]


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One position of a view, to be read; tokens are spelled as the tokenizer has them."""

    index: int  # in the text, as the rotary embedding has it
    within: int | None  # index in a span that shares one position
    text: str  # the text's own token at that index; empty where these are not of the text
    input: str
    change: Change
    target: str  # empty: nothing is predicted here
    ahead: bool  # what is predicted comes after this position
    weight: float


def one_row(text: str, tokenizer: Tokenizer) -> Text:
    """Return the text as one row, which begins as rows do in training.

    Raises:
        UserError: the tokenizer keeps nothing of it.
    """
    encoded = tokenizer.encode([text])[0]
    if not len(encoded):
        raise UserError("the tokenizer keeps nothing of this text: give another text or tokenizer")
    return Text(
        tokens=torch.tensor([[tokenizer.vocab.bos, *encoded.ids.tolist()]]),
        visible=torch.ones(1, 1 + len(encoded), dtype=torch.bool),
        word=torch.tensor([[0, *encoded.starts_word.cumsum().tolist()]]),
    )


def piece_of(number: int, tokenizer: Tokenizer) -> str:
    """Return how a token is spelled; an id without a token as the number."""
    return tokenizer.pieces([number])[0] or f"<{number}>"


def read_slots(view: View, text: Text, tokenizer: Tokenizer) -> list[list[Slot]]:
    """Return the positions of each row of `view`, in order, with the text it was made of."""
    size, vocab = text.tokens.shape[1], tokenizer.vocab
    own = pad(text.tokens[0], (0, 1), value=IGNORE)
    here = own[view.position.clamp(max=size)]
    after = own[(view.position + 1).clamp(max=size)]
    predicted = view.target != IGNORE
    special = vocab.is_special(view.tokens)
    # A text that was taken apart has moved. Where all of it has its own positions, each token is
    # its own or special, or is predicted here or from the position before.
    known = (view.target == here) | (view.target.roll(1, dims=1) == here)
    placed = ((view.tokens == here) | special | (known & (here != IGNORE))).all(1, keepdim=True)
    placed &= view.position.amax(1, keepdim=True) >= size - 1
    at_own = placed & (here == view.target).where(predicted, True).all(1, keepdim=True)
    follows = (view.target == view.tokens.roll(-1, dims=1)) | (placed & (view.target == after))
    follows |= vocab.is_special(view.target.clamp(min=0))  # the end of an output
    ahead = (~at_own & follows.where(predicted, True).all(1, keepdim=True)).expand_as(predicted)
    same = (view.tokens == here).where(placed, ~special)
    changes: dict[Change, torch.Tensor] = {  # of each position, the first that holds
        "kept": predicted & same & at_own,
        "": same,
        "query": predicted & ~view.visible,
        "padding": ~view.visible,
        "masked": view.tokens == vocab.roles.get("mask", IGNORE),
        "special": special,
        "replaced": view.tokens == view.tokens,
    }

    def piece(number: int) -> str:
        return "" if number == IGNORE else piece_of(number, tokenizer)

    return [
        [
            Slot(
                index=int(view.position[row, column]),
                within=None if view.within is None else int(view.within[row, column]),
                text=piece(int(here[row, column])) if placed[row] else "",
                input=piece(int(view.tokens[row, column])),
                change=next(name for name, holds in changes.items() if holds[row, column]),
                target=piece(int(view.target[row, column])),
                ahead=bool(ahead[row, column]),
                weight=float(view.weight[row, column]),
            )
            for column in range(view.tokens.shape[1])
        ]
        for row in range(len(view.tokens))
    ]
