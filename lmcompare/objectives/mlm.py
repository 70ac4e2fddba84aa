"""Masked language modelling: hide some tokens, predict them from both sides.

Devlin et al. 2019, BERT (https://arxiv.org/abs/1810.04805), without next-sentence prediction (Liu
et al. 2019, RoBERTa). Variants: whole words (the later BERT release), spans of words (Joshi et al.
2020, SpanBERT), higher rates (Wettig et al. 2023: 0.40; ModernBERT: 0.30) and a rate that changes
while training (Yang et al. 2023).
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch

from lmcompare.objectives.base import HfClass
from lmcompare.objectives.corruption.noise import mean_over
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.decoding.unmasking import unmasking
from lmcompare.objectives.masked_base import Masking
from lmcompare.objectives.scoring.masked import masked
from lmcompare.objectives.scoring_types import Scoring
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab


class Mlm(Masking):
    """Both sides seen, a share of the tokens predicted."""

    name: Literal["mlm"] = "mlm"
    paper: ClassVar[str] = "Devlin et al. 2019, BERT"
    attention: ClassVar[str] = "both sides"
    predicts: ClassVar[str] = "hidden tokens, each by itself"
    generates: ClassVar[str] = "mask by mask, in any order"

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return masked(self.hides)

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        return unmasking(self.read)

    @property
    def hf_class(self) -> HfClass:
        return "masked"

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Hide some tokens, and predict these alone.

        Most of them become the mask, some a random token, and some stay.

        With rate=0.3 and seed 3, "We hold these truths to be self-evident" becomes

            reads     [BOS] be [MASK] [MASK] truths [MASK] be self-evident
            predicts  .     We hold   these  .      to     .  .
        """
        tokens, chosen = self.hide(text, vocab, rng, progress=progress)
        target = text.tokens.masked_fill(~chosen, IGNORE)
        return View.bidirectional(tokens, visible=text.visible, document=text.document).predicting(
            target, mean_over(target)
        )

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)
