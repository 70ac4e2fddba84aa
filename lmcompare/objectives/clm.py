"""Causal language modelling: predict each token from those before it.

Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2). A row starts with
the beginning-of-sequence token, so its first real token is predicted and scored too; libraries
differ on this.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch

from lmcompare.objectives.base import HfClass, Objective
from lmcompare.objectives.corruption.noise import mean_over, next_token
from lmcompare.objectives.decoding.autoregressive import at_the_end
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.scoring.next_token import left_to_right
from lmcompare.objectives.scoring_types import Scoring
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
        return left_to_right(self.read)

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        return {"left-to-right": at_the_end(lambda request, vocab: self.read(request.text, vocab))}

    @property
    def hf_class(self) -> HfClass:
        return "causal"

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Predict every token from those before it.

        With seed 0, "We hold these truths to be self-evident" becomes

            reads     [BOS] We   hold  these  truths to be           self-evident
            predicts  We    hold these truths to     be self-evident .
        """
        target = next_token(text.tokens, ~vocab.is_special(text.tokens))
        return self.read(text, vocab).predicting(target, mean_over(target))

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.causal(text.tokens, visible=text.visible, document=text.document)
