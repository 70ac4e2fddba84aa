"""Causal language modelling: predict each token from those before it.

Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2). A row starts with
the beginning-of-sequence token, so its first real token is predicted and scored too; libraries
differ on this.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lmcompare.objectives.base import Native, Objective, Query, Scoring
from lmcompare.objectives.corruption.noise import mean_over, next_token
from lmcompare.objectives.decoding.autoregressive import AT_THE_END, continue_text
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring import LEFT_TO_RIGHT, predict_next, renormalise
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


class Clm(Objective):
    """Left to right, every token a target."""

    name: Literal["clm"] = "clm"
    paper: ClassVar[str] = "Radford et al. 2019, GPT-2"
    attention: ClassVar[str] = "what stands before"
    predicts: ClassVar[str] = "the next token, everywhere"
    generates: ClassVar[str] = "left to right"

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return LEFT_TO_RIGHT

    @property
    def fillings(self) -> Mapping[str, DecodingMethod]:
        return AT_THE_END

    @property
    def native(self) -> Native:
        return "causal"

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        target = next_token(text.tokens, ~vocab.is_special(text.tokens))
        return self.read(text, vocab).predicting(target, mean_over(target))

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.causal(text.tokens, visible=text.visible, document=text.document)

    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        text, asked = query.text, query.asked
        if query.scoring == "renormalised":
            return renormalise(net, text, vocab, asked, lambda text, _: self.read(text, vocab))
        return predict_next(net, self.read(text, vocab), text, asked)

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        return continue_text(net, self.read(blanks.text, vocab), blanks, vocab)
