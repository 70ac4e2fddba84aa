"""Permuted language modelling: predict tokens in a random order, each from those before it there.

Yang et al. 2019, XLNet (https://arxiv.org/abs/1906.08237). The content stream holds the real
tokens. What predicts are query slots, appended after the text: each has the position of its target,
is fed the mask, and is seen by nobody, so the two streams need no second code path. Only the last
part of the order is predicted, in spans of words; the rest is context that all see.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare import rng as streams
from lmcompare.errors import UserError
from lmcompare.objectives.base import EVERY, LONGER, Native, Objective, Query, Scoring
from lmcompare.objectives.corruption.noise import NOWHERE, mean_over
from lmcompare.objectives.corruption.packing import at_places, pack
from lmcompare.objectives.corruption.spans import n_grams
from lmcompare.objectives.decoding.any_order import ALONG, write_along
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.network import Network, Writer
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab


class Plm(Objective):
    """A share of the tokens, in an order drawn anew for each row."""

    name: Literal["plm"] = "plm"
    rate: float = Field(1 / 6, gt=0, le=1, description="share of tokens to predict: 1/K")
    longest_span: int = Field(5, ge=1, description="words that are predicted together, at most")
    paper: ClassVar[str] = "Yang et al. 2019, XLNet"
    attention: ClassVar[str] = "context, and targets earlier in a random order"
    predicts: ClassVar[str] = "the targets, each from those earlier in the order"
    generates: ClassVar[str] = "in any order, one by one"

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return {
            "left-to-right": Scoring("exact", given="both", answers=EVERY, hides=self.rate),
            "orders": Scoring(
                "bound",
                given="both",
                answers=EVERY,
                protocol="random-orders",
                sampled=True,
                exact_alone=True,
                hides=self.rate,
            ),
        }

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, "mask")

    def require(self, vocab: Vocab, *, length: int) -> None:
        super().require(vocab, length=length)
        if round((length - 1) * self.rate) < 1:
            raise UserError(
                f"plm with rate {self.rate:.3g} predicts none of the {length - 1} tokens of a "
                f"block: {LONGER} or a higher objective.rate"
            )

    @property
    def native(self) -> Native:
        return "causal"

    @property
    def native_note(self) -> str:
        return (
            "This is the content stream, read from left to right. It predicts at query slots, "
            "which the class does not have: take its states, not its text."
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        candidates = ~vocab.is_special(text.tokens)
        num = (candidates.sum(1) * self.rate).round().long()
        chosen = n_grams(candidates, text.word, num, rng, longest=self.longest_span)
        keys = torch.rand(text.tokens.shape, generator=rng)
        return self._view(text, vocab, chosen, keys)[0]

    def read(self, text: Text, vocab: Vocab) -> View:
        """The content stream, nothing being a target."""
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)

    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """The asked tokens given all others, along the order of the text or along a random one.

        The mean over orders of a log-likelihood is a lower bound on that of the orders' mixture.
        """
        text, asked = query.text, query.asked
        keys = torch.arange(float(text.tokens.shape[1])).repeat(len(text.tokens), 1)
        if query.scoring == "orders":
            for row in range(len(keys)):  # a row's order is its own, whatever is beside it
                shown = text.visible[row]
                stream = streams.generator(
                    "order", query.replicate, *text.tokens[row][shown].tolist()
                )
                keys[row, shown] = torch.rand(int(shown.sum()), generator=stream)
        view, place = self._view(text, vocab, asked, keys)
        return at_places(net.log_prob(view), place, text.tokens.shape[1])

    @property
    def fillings(self) -> Mapping[str, DecodingMethod]:
        return ALONG

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        text, holes = blanks.text, blanks.holes
        turn = torch.arange(float(holes.shape[1])).repeat(len(holes), 1)
        if blanks.method == "right-to-left":
            turn = -turn
        elif blanks.method == "random":
            turn = blanks.uniform_at(holes).float()
        shown = replace(text, visible=text.visible & ~holes)
        return write_along(net, self.read(shown, vocab), blanks, turn, vocab)

    def _view(
        self, text: Text, vocab: Vocab, chosen: Bool[Tensor, "B T"], keys: Float[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Content and query slots, and which token of the text each position predicts.

        Args:
            text: the text.
            vocab: which id is the mask.
            chosen: the targets; all else is context.
            keys: targets are predicted from the least to the greatest.
        """
        num_rows, length = text.tokens.shape
        ranked = keys.masked_fill(~chosen, torch.inf).argsort(dim=1, stable=True)
        rank = torch.empty_like(ranked).scatter_(1, ranked, torch.arange(length).expand_as(ranked))
        order = (2 * (rank + 1)).masked_fill(~chosen, 0)
        places = torch.arange(length).expand(num_rows, length)
        slots = pack(text.tokens, chosen, place=places, document=text.document, pad=IGNORE)
        place = slots.place.clamp(min=0)
        document = None
        if text.document is not None:
            document = torch.cat([text.document, text.document.gather(1, place)], dim=1)
        nothing = torch.full_like(text.tokens, IGNORE)
        view = View(
            tokens=torch.cat([text.tokens, torch.full_like(slots.tokens, vocab.mask)], dim=1),
            position=torch.cat([places, place], dim=1),
            order=torch.cat([order, (order.gather(1, place) - 1).clamp(min=0)], dim=1),
            visible=torch.cat([text.visible, torch.zeros_like(slots.visible)], dim=1),
            target=(target := torch.cat([nothing, slots.tokens], dim=1)),
            weight=mean_over(target),
            document=document,
        )
        return view, torch.cat([torch.full_like(text.tokens, NOWHERE), slots.place], dim=1)
