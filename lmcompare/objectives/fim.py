"""Fill in the middle: a causal model of texts whose middle was moved to their end.

Bavarian et al. 2022 (https://arxiv.org/abs/2207.14255). A share of the rows is cut at two random
places into prefix, middle and suffix, and written in one of two orders: prefix, suffix, middle
(PSM), or suffix, prefix, middle (SPM; their variant in which prefix and middle follow the one
marker). An end token says that the middle is complete. Every token of the text remains a target.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.objectives.base import Native, Objective, Query, Scoring
from lmcompare.objectives.corruption.noise import NOWHERE, mean_over
from lmcompare.objectives.corruption.packing import pack
from lmcompare.objectives.corruption.spans import runs
from lmcompare.objectives.decoding.autoregressive import (
    ANYWHERE,
    AT_THE_END,
    continue_text,
    follow,
)
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.decoding.template import Script
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring import LEFT_TO_RIGHT, predict_next, score_spans, spans
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab

MARKS = ("fim_prefix", "fim_suffix", "fim_middle")
# where start token, prefix, middle, suffix and the marks come in a row: plain, PSM, SPM
ORDERS = {
    "bos": (0, 0, 0),
    "prefix": (2, 2, 5),
    "middle": (3, 6, 6),
    "suffix": (4, 4, 3),
    "fim_prefix": (1, 1, 1),
    "fim_suffix": (1, 3, 2),
    "fim_middle": (1, 5, 4),
    "end": (7, 7, 7),
}


class Fim(Objective):
    """Left to right, with the middle last in a share of the rows."""

    name: Literal["fim"] = "fim"
    rate: float = Field(0.5, ge=0, le=1, description="share of rows that are taken apart")
    spm: float = Field(0.5, ge=0, le=1, description="share of those with the suffix first")
    paper: ClassVar[str] = "Bavarian et al. 2022"
    attention: ClassVar[str] = "what stands before, the suffix of a hole too"
    predicts: ClassVar[str] = "the next token, a text's middle last"
    generates: ClassVar[str] = "left to right, into one hole of any length"

    @property
    def scorings(self) -> Mapping[str, Scoring]:
        holes = spans(1.0 if self.rate else 0.0, told=("holes",))
        return {
            "given-length": holes["given-length"],
            # a row that is taken apart never begins with plain text
            "causal": replace(LEFT_TO_RIGHT["causal"], hides=1.0 if self.rate < 1 else 0.0),
            "with-ends": holes["with-ends"],
        }

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, *MARKS)

    @property
    def native(self) -> Native:
        return "causal"

    @property
    def native_note(self) -> str:
        return (
            "It fills a hole after the marks of prefix, suffix and middle, in the order of "
            "Bavarian et al. (2022)."
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        num_rows = len(text.tokens)
        draw = torch.rand(num_rows, generator=rng)
        kind = torch.where(draw < self.rate, 1 + (draw < self.rate * self.spm).long(), 0)
        # Two cuts between tokens, of all possible ones; the start token is before the first.
        length = text.visible.sum(1, keepdim=True)
        cuts = 1 + (torch.rand(num_rows, 2, generator=rng) * length).long()
        return self._view(text, vocab, cuts.sort(1).values, kind)[0]

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.causal(text.tokens, visible=text.visible, document=text.document)

    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Left to right, or the one hole of a row after what stands on both sides of it.

        Raises:
            Unsupported: the latter, and a row has several holes.
        """
        text, asked = query.text, query.asked
        if query.scoring == "causal":
            return predict_next(net, self.read(text, vocab), text, asked)
        if (runs(asked).total > 1).any():
            raise Unsupported("fim fills one hole of a text; these have several")
        view, place = self._asked(text, vocab, asked)
        ends = (vocab.eos,) if query.scoring == "with-ends" else ()
        return score_spans(net, view, place, text, vocab, ends=ends)

    @property
    def fillings(self) -> Mapping[str, DecodingMethod]:
        return {**AT_THE_END, "fim": replace(ANYWHERE["left-to-right"], holes="one")}

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        if blanks.method == "left-to-right":
            return continue_text(net, self.read(blanks.text, vocab), blanks, vocab)
        view, place = self._asked(blanks.text, vocab, blanks.holes)
        return follow(net, Script.of(view, place, blanks, ends=(vocab.eos,)), blanks, vocab)

    def _asked(
        self, text: Text, vocab: Vocab, asked: Bool[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Each row with its hole last, and which asked token each position predicts."""
        first = torch.where(asked.any(1), asked.int().argmax(1), 1)
        cuts = torch.stack([first, first + asked.sum(1)], dim=1)
        view, place = self._view(text, vocab, cuts, torch.ones_like(first))
        wanted = asked[torch.arange(len(place))[:, None], place.clamp(min=0)]
        return view, place.where(wanted & (place != NOWHERE), NOWHERE)

    def _view(
        self, text: Text, vocab: Vocab, cuts: Int[Tensor, "B 2"], kind: Int[Tensor, " B"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """The rows taken apart, and which token of the text each position predicts.

        Args:
            text: the text.
            vocab: which ids are the marks.
            cuts: where middle and suffix begin.
            kind: of each row: 0 leaves it whole, 1 is PSM, 2 is SPM.
        """
        num_rows, length = text.tokens.shape
        places = torch.arange(length).expand(num_rows, length)
        rank = {name: torch.tensor(ranks)[kind][:, None] for name, ranks in ORDERS.items()}
        keys = rank["prefix"].where(places < cuts[:, :1], rank["middle"])
        keys = keys.where(places < cuts[:, 1:], rank["suffix"])
        keys = rank["bos"].where(places == 0, keys)
        marks = torch.tensor([*map(vocab.require, MARKS), vocab.eos]).expand(num_rows, -1)
        keys = torch.cat([keys, *(rank[name] for name in (*MARKS, "end"))], dim=1)
        index = keys.argsort(dim=1, stable=True)
        apart = (kind > 0)[:, None].expand_as(marks)
        document = None
        if text.document is not None:
            document = torch.cat([text.document, text.document[:, :1].expand_as(marks)], dim=1)
        row = pack(
            torch.cat([text.tokens, marks], dim=1).gather(1, index),
            torch.cat([text.visible, apart], dim=1).gather(1, index),
            place=torch.cat([places, torch.full_like(marks, NOWHERE)], dim=1).gather(1, index),
            document=None if document is None else document.gather(1, index),
            pad=vocab.pad,
        )
        is_end = row.visible & (row.tokens == vocab.eos) & (row.place == NOWHERE)
        predicted = (~vocab.is_special(row.tokens) | is_end).roll(-1, dims=1)
        predicted[:, -1] = False
        target = row.tokens.roll(-1, dims=1).where(predicted, IGNORE)
        document = row.document
        if document is not None:  # a mark is of the document of what follows it
            slot = torch.arange(row.tokens.shape[1])
            follows = slot.where(row.place != NOWHERE, slot[-1]).flip(1).cummin(1).values.flip(1)
            document = document.gather(1, follows)
        view = View.causal(row.tokens, visible=row.visible, document=document)
        place = row.place.roll(-1, dims=1).where(predicted, NOWHERE)
        return view.predicting(target, mean_over(target)), place
