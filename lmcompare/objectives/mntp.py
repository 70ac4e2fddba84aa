"""Masked next-token prediction: a hidden token is predicted at the place before it.

Charpentier & Samuel 2024, GPT or BERT: why not both? (https://arxiv.org/abs/2410.24159), after
BehnamGhader et al. 2024, LLM2Vec. Its output stands where a causal model's does, so both can share
one head and one network (`hybrid`). Nothing being hidden, it is a causal model under causal
attention, and under attention to both sides a position would see its answer: that is refused.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from lmcompare.objectives.base import HfClass
from lmcompare.objectives.corruption.noise import mean_over, next_token
from lmcompare.objectives.decoding.autoregressive import at_the_end
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.decoding.unmasking import unmasking
from lmcompare.objectives.masked_base import Masking
from lmcompare.objectives.scoring.masked import masked
from lmcompare.objectives.scoring.next_token import left_to_right
from lmcompare.objectives.scoring_types import Scoring
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
        if self.direction == "left":
            return left_to_right(self.read)
        return masked(self.hides, shift=1)

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        if self.direction == "left":
            return {
                "left-to-right": at_the_end(lambda request, vocab: self.read(request.text, vocab))
            }
        return unmasking(self.read, shift=1)

    @property
    def hf_class(self) -> HfClass | None:
        return "causal" if self.direction == "left" else None

    @property
    def why_no_hf_class(self) -> str:
        return "transformers has no class that predicts a hidden token one place before it"

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Hide some tokens, and predict each one position before its own.

        With rate=0.3 and seed 1, "We hold these truths to be self-evident" becomes

            reads     [BOS] [MASK] hold these  [MASK] to be self-evident
            predicts  We    .      .    truths .      .  .  .
        """
        tokens, chosen = self.hide(text, vocab, rng, progress=progress)
        target = next_token(text.tokens, chosen)
        return self._see(text, tokens).predicting(target, mean_over(target))

    def read(self, text: Text, vocab: Vocab) -> View:
        return self._see(text, text.tokens)

    def _see(self, text: Text, tokens: Tensor) -> View:
        see = View.bidirectional if self.direction == "both" else View.causal
        return see(tokens, visible=text.visible, document=text.document)
