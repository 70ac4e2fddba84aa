"""Masked next-token prediction: a hidden token is predicted at the place before it.

Charpentier & Samuel 2024, GPT or BERT: why not both? (https://arxiv.org/abs/2410.24159), after
BehnamGhader et al. 2024, LLM2Vec. Its output stands where a causal model's does, so both can share
one head and one network (`hybrid`). Nothing being hidden, it is a causal model under causal
attention, and under attention to both sides a position would see its answer: that is refused.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from lmcompare.objectives.base import Native, Query, Scoring
from lmcompare.objectives.corruption.noise import mean_over, next_token
from lmcompare.objectives.decoding.autoregressive import AT_THE_END, continue_text
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.decoding.unmasking import UNMASKING, unmask
from lmcompare.objectives.masked_base import Masking
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring import (
    LEFT_TO_RIGHT,
    answer_masked,
    masked,
    predict_next,
    renormalise,
)
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


class Mntp(Masking):
    """BERT's corruption, with a causal model's alignment of outputs."""

    name: Literal["mntp"] = "mntp"
    rate: float = Field(0.15, gt=0, le=1, description="share of tokens to predict")
    direction: Literal["both", "left"] = Field(
        "both", description="what a position sees: both sides, or what stands before it"
    )
    paper: ClassVar[str] = "Charpentier & Samuel 2024, GPT-BERT; LLM2Vec"
    attention: ClassVar[str] = "both sides"
    predicts: ClassVar[str] = "hidden tokens, one place ahead"
    generates: ClassVar[str] = "mask by mask, in any order"

    @model_validator(mode="after")
    def _hides(self) -> "Mntp":
        if self.direction == "both" and self.masked + self.random == 0:
            raise ValueError(
                "masked 0 and random 0 hide nothing, and a position that sees both sides would see "
                "its answer: raise masked, or set direction to left"
            )
        if self.direction == "both" and self.rate == 1:
            raise ValueError("a rate of 1 leaves no context: choose one below 1")
        return self

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return masked(self.hides) if self.direction == "both" else LEFT_TO_RIGHT

    @property
    def native(self) -> Native | None:
        return "causal" if self.direction == "left" else None

    @property
    def not_native(self) -> str:
        return "transformers has no class that predicts a hidden token one place before it"

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        tokens, chosen = self.hide(text, vocab, rng, progress=progress)
        target = next_token(text.tokens, chosen)
        return self._see(text, tokens).predicting(target, mean_over(target))

    def read(self, text: Text, vocab: Vocab) -> View:
        return self._see(text, text.tokens)

    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        text, asked = query.text, query.asked
        if query.scoring == "causal":
            return predict_next(net, self.read(text, vocab), text, asked)
        if query.scoring == "renormalised":
            return renormalise(net, text, vocab, asked, lambda text, _: self.read(text, vocab))
        return answer_masked(net, query, vocab, shift=1)

    @property
    def fillings(self) -> Mapping[str, DecodingMethod]:
        return UNMASKING if self.direction == "both" else AT_THE_END

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        if self.direction == "left":
            return continue_text(net, self.read(blanks.text, vocab), blanks, vocab)
        return unmask(net, blanks, vocab, lambda tokens: self._see(blanks.text, tokens), shift=1)

    def _see(self, text: Text, tokens: Tensor) -> View:
        see = View.bidirectional if self.direction == "both" else View.causal
        return see(tokens, visible=text.visible, document=text.document)
