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
from lmcompare.objectives.base import LONGER, HfClass, Objective
from lmcompare.objectives.corruption.noise import NO_INDEX, mean_over
from lmcompare.objectives.corruption.packing import pack, scores_at
from lmcompare.objectives.corruption.spans import n_grams
from lmcompare.objectives.decoding.any_order import any_order
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest
from lmcompare.objectives.network import Network
from lmcompare.objectives.scoring_types import EVERY, Query, Scoring
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
            "left-to-right": Scoring(
                "exact", self._in_order, given="both", answers=EVERY, hides=self.rate
            ),
            "orders": Scoring(
                "bound",
                self._in_random_order,
                given="both",
                answers=EVERY,
                protocol="random-orders",
                sampled=True,
                exact_alone=True,
                hides=self.rate,
            ),
        }

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        def start_of(request: FillRequest, vocab: Vocab) -> View:
            visible = request.text.visible & ~request.holes
            return self.read(replace(request.text, visible=visible), vocab)

        return any_order(start_of)

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
    def hf_class(self) -> HfClass:
        return "causal"

    @property
    def hf_note(self) -> str:
        return (
            "This is the content stream, read from left to right. It predicts at query slots, "
            "which the class does not have: take its states, not its text."
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Draw targets and their order, and predict each at a query slot after the text.

        With rate=0.4 and seed 2, "We hold these truths to be self-evident" becomes

            reads     [BOS] We hold these truths to be self-evident [MASK] [MASK] [MASK]
            order     0     0  2    0     0      4  0  6            1      3      5
            predicts  .     .  .    .     .      .  .  .            hold   to     self-evident
        """
        candidates = ~vocab.is_special(text.tokens)
        num = (candidates.sum(1) * self.rate).round().long()
        chosen = n_grams(candidates, text.word, num, rng, longest=self.longest_span)
        keys = torch.rand(text.tokens.shape, generator=rng)
        return self._view(text, vocab, chosen, keys)[0]

    def read(self, text: Text, vocab: Vocab) -> View:
        """Return the content stream, nothing being a target."""
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)

    def _in_order(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Score tokens given all others, one after another in the order of the text."""
        num_rows, length = query.text.tokens.shape
        return self._along(net, query, vocab, torch.arange(float(length)).repeat(num_rows, 1))

    def _in_random_order(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Score tokens given all others, one after another in an order that is drawn.

        The mean over orders of a log-likelihood is a lower bound on that of the orders' mixture.
        """
        text = query.text
        keys = torch.arange(float(text.tokens.shape[1])).repeat(len(text.tokens), 1)
        for row in range(len(keys)):  # a row's order is its own, whatever is beside it
            shown = text.visible[row]
            stream = streams.generator("order", query.replicate, *text.tokens[row][shown].tolist())
            keys[row, shown] = torch.rand(int(shown.sum()), generator=stream)
        return self._along(net, query, vocab, keys)

    def _along(
        self, net: Network, query: Query, vocab: Vocab, keys: Float[Tensor, "B T"]
    ) -> Float[Tensor, "B T"]:
        view, index = self._view(query.text, vocab, query.score_mask, keys)
        return scores_at(index, net.log_prob(view), query.text.tokens.shape[1])

    def _view(
        self, text: Text, vocab: Vocab, chosen: Bool[Tensor, "B T"], keys: Float[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Return content and query slots, and the index of the token that each position predicts.

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
        indices = torch.arange(length).expand(num_rows, length)
        slots = pack(text.tokens, chosen, index=indices, document=text.document, pad=IGNORE)
        index = slots.index.clamp(min=0)
        document = None
        if text.document is not None:
            document = torch.cat([text.document, text.document.gather(1, index)], dim=1)
        nothing = torch.full_like(text.tokens, IGNORE)
        view = View(
            tokens=torch.cat([text.tokens, torch.full_like(slots.tokens, vocab.mask)], dim=1),
            position=torch.cat([indices, index], dim=1),
            order=torch.cat([order, (order.gather(1, index) - 1).clamp(min=0)], dim=1),
            visible=torch.cat([text.visible, torch.zeros_like(slots.visible)], dim=1),
            target=(target := torch.cat([nothing, slots.tokens], dim=1)),
            weight=mean_over(target),
            document=document,
        )
        return view, torch.cat([torch.full_like(text.tokens, NO_INDEX), slots.index], dim=1)
