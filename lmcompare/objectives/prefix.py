"""Prefix language modelling: read the beginning from both sides, write the rest left to right.

Raffel et al. 2020, T5 (https://arxiv.org/abs/1910.10683), section 3.2.1, "prefix LM"; UniLM's
sequence-to-sequence part (Dong et al. 2019) has the same pattern, and U-PaLM (Tay et al. 2022,
https://arxiv.org/abs/2210.11399) makes it one of its denoisers. At equal tokens it has about half
the targets of a causal model.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcompare.objectives.base import HfClass, Objective
from lmcompare.objectives.corruption.noise import mean_over, next_token
from lmcompare.objectives.decoding.autoregressive import at_the_end
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.scoring.next_token import next_tokens, renormalised
from lmcompare.objectives.scoring_types import Scoring
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


class Prefix(Objective):
    """The split is drawn anew for each row; what stands before it is not predicted."""

    name: Literal["prefix"] = "prefix"
    paper: ClassVar[str] = "Raffel et al. 2020, T5's prefix LM"
    attention: ClassVar[str] = "both sides in the prefix, then what stands before"
    predicts: ClassVar[str] = "the next token, after the prefix"
    generates: ClassVar[str] = "left to right"

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        return {
            # the prefix is all that stands before the first token that is asked about
            "prefix": next_tokens(
                lambda query, _: self._after(query.text, _first(query.score_mask))
            ),
            "renormalised": renormalised(lambda text, index, _: self._after(text, index)),
        }

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        return {
            "left-to-right": at_the_end(
                lambda request, _: self._after(request.text, _first(request.holes))
            )
        }

    @property
    def hf_class(self) -> HfClass:
        return "causal"

    @property
    def hf_note(self) -> str:
        return (
            "It reads from left to right here, with an empty prefix; a prefix seen from both sides "
            "needs a mask of your own."
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Draw a prefix, whose tokens see each other, and predict what follows.

        With seed 0, "We hold these truths to be self-evident" becomes

            reads     [BOS] We hold these  truths to be           self-evident
            order     0     0  0    0      1      2  3            4
            predicts  .     .  .    truths to     be self-evident .
        """
        num_rows, length = text.tokens.shape
        last = text.visible.sum(1).clamp(min=2)  # a prefix is 1 to all but one token long
        split = 1 + (torch.rand(num_rows, generator=rng) * (last - 1)).long()
        predicted = ~vocab.is_special(text.tokens) & (torch.arange(length) >= split[:, None])
        target = next_token(text.tokens, predicted)
        return self._after(text, split).predicting(target, mean_over(target))

    def read(self, text: Text, vocab: Vocab) -> View:
        return self._after(text, text.visible.sum(1))

    def _after(self, text: Text, split: Int[Tensor, " B"]) -> View:
        """Let tokens before the split see each other; with the start token alone this is causal."""
        index = torch.arange(text.tokens.shape[1])
        order = (index - split[:, None] + 1).clamp(min=0)
        return View.ordered(text.tokens, order, visible=text.visible, document=text.document)


def _first(mask: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """Return the index of the first token of a mask in each row; without any, 1."""
    return torch.where(mask.any(1), mask.int().argmax(1), 1)
