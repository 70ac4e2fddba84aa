"""Prefix language modelling: read the beginning from both sides, write the rest left to right.

Raffel et al. 2020, T5 (https://arxiv.org/abs/1910.10683), section 3.2.1, "prefix LM"; UniLM's
sequence-to-sequence part (Dong et al. 2019) has the same pattern, and U-PaLM (Tay et al. 2022,
https://arxiv.org/abs/2210.11399) makes it one of its denoisers. At equal tokens it has about half
the targets of a causal model.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.base import EVERY, Native, Objective, Query, Scoring
from lmcompare.objectives.corruption.noise import mean_over, next_token
from lmcompare.objectives.decoding.autoregressive import AT_THE_END, continue_text
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring import predict_next, renormalise
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
            "prefix": Scoring("exact", given="left", answers=EVERY),
            "renormalised": Scoring("exact", given="both", answers=("holes",), weighs_all=True),
        }

    @property
    def fillings(self) -> Mapping[str, DecodingMethod]:
        return AT_THE_END

    @property
    def native(self) -> Native:
        return "causal"

    @property
    def native_note(self) -> str:
        return (
            "It reads from left to right here, with an empty prefix; a prefix seen from both sides "
            "needs a mask of your own."
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        num_rows, length = text.tokens.shape
        last = text.visible.sum(1).clamp(min=2)  # a prefix is 1 to all but one token long
        split = 1 + (torch.rand(num_rows, generator=rng) * (last - 1)).long()
        asked = ~vocab.is_special(text.tokens) & (torch.arange(length) >= split[:, None])
        target = next_token(text.tokens, asked)
        return self._after(text, split).predicting(target, mean_over(target))

    def read(self, text: Text, vocab: Vocab) -> View:
        return self._after(text, text.visible.sum(1))

    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """The prefix is all that stands before the first asked token of a row."""
        text, asked = query.text, query.asked
        if query.scoring == "renormalised":
            return renormalise(net, text, vocab, asked, self._after)
        return predict_next(net, self._after(text, _first(asked)), text, asked)

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        view = self._after(blanks.text, _first(blanks.holes))
        return continue_text(net, view, blanks, vocab)

    def _after(self, text: Text, split: Int[Tensor, " B"]) -> View:
        """Tokens before the split see each other; a prefix of the start token alone is causal."""
        place = torch.arange(text.tokens.shape[1])
        order = (place - split[:, None] + 1).clamp(min=0)
        return View.ordered(text.tokens, order, visible=text.visible, document=text.document)


def _first(asked: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """The place of the first asked token of each row, which is not the start token."""
    return torch.where(asked.any(1), asked.int().argmax(1), 1)
