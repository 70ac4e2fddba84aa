"""Fill in the middle: a causal model of texts whose middle was moved to their end.

Bavarian et al. 2022 (https://arxiv.org/abs/2207.14255). A share of the rows is cut at two random
places into prefix, middle and suffix, and written in one of two orders: prefix, suffix, middle
(PSM), or suffix, prefix, middle (SPM; their variant in which prefix and middle follow the one
marker). An end token says that the middle is complete. Every token of the text remains a target.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare.errors import Unsupported
from lmcompare.objectives.base import HfClass, Objective
from lmcompare.objectives.corruption.noise import NO_INDEX, mean_over
from lmcompare.objectives.corruption.packing import pack
from lmcompare.objectives.corruption.spans import runs
from lmcompare.objectives.decoding.autoregressive import anywhere, at_the_end, decode
from lmcompare.objectives.decoding.fill_request import DecodingMethod, FillRequest, FillResult
from lmcompare.objectives.decoding.template import DecodeTemplate
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring.next_token import next_tokens
from lmcompare.objectives.scoring.spans import score_spans, spans
from lmcompare.objectives.scoring_types import Query, Scoring
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab

MARKS = ("fim_prefix", "fim_suffix", "fim_middle")
# the rank of start token, prefix, middle, suffix and the marks in a row: plain, PSM, SPM
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
        holes = spans(
            1.0 if self.rate else 0.0,
            given_length=self._given_length,
            with_ends=self._with_ends,
            told=("holes",),
        )
        return {
            "given-length": holes["given-length"],
            # a row that is taken apart never begins with plain text
            "causal": next_tokens(
                lambda query, vocab: self.read(query.text, vocab),
                hides=1.0 if self.rate < 1 else 0.0,
            ),
            "with-ends": holes["with-ends"],
        }

    @property
    def decoding_methods(self) -> Mapping[str, DecodingMethod]:
        return {
            "left-to-right": at_the_end(lambda request, vocab: self.read(request.text, vocab)),
            "fim": anywhere(self._write, holes="one"),
        }

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, *MARKS)

    @property
    def hf_class(self) -> HfClass:
        return "causal"

    @property
    def hf_note(self) -> str:
        return (
            "It fills a hole after the marks of prefix, suffix and middle, in the order of "
            "Bavarian et al. (2022)."
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Move the middle of some rows to their end, and predict every token of the text.

        With rate=1.0 and seed 1, "We hold these truths to be self-evident" becomes

            reads     [BOS] [PRE] We hold [SUF] truths to be self-evident [MID] these [EOS]
            predicts  . We hold . truths to be self-evident . these [EOS] .
        """
        num_rows = len(text.tokens)
        draw = torch.rand(num_rows, generator=rng)
        kind = torch.where(draw < self.rate, 1 + (draw < self.rate * self.spm).long(), 0)
        # Two cuts between tokens, of all possible ones; the start token is before the first.
        length = text.visible.sum(1, keepdim=True)
        cuts = 1 + (torch.rand(num_rows, 2, generator=rng) * length).long()
        return self._view(text, vocab, cuts.sort(1).values, kind)[0]

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.causal(text.tokens, visible=text.visible, document=text.document)

    def _given_length(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Score the one hole of a row after what stands on both sides of it."""
        view, index = self._hole_last(query.text, vocab, query.score_mask)
        return score_spans(net, view, index, query.text, vocab)

    def _with_ends(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Score the one hole of a row and its end."""
        view, index = self._hole_last(query.text, vocab, query.score_mask)
        return score_spans(net, view, index, query.text, vocab, ends=(vocab.eos,))

    def _write(self, net: Writer, request: FillRequest, vocab: Vocab) -> FillResult:
        view, index = self._hole_last(request.text, vocab, request.holes)
        template = DecodeTemplate.of(view, index, request, ends=(vocab.eos,))
        return decode(net, template, request, vocab)

    def _hole_last(
        self, text: Text, vocab: Vocab, hidden: Bool[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Put the hole of each row last; return also which hidden token each position predicts.

        Raises:
            Unsupported: a row has several holes.
        """
        if (runs(hidden).total > 1).any():
            raise Unsupported("fim fills one hole of a text; these have several")
        first = torch.where(hidden.any(1), hidden.int().argmax(1), 1)
        cuts = torch.stack([first, first + hidden.sum(1)], dim=1)
        view, index = self._view(text, vocab, cuts, torch.ones_like(first))
        wanted = hidden[torch.arange(len(index))[:, None], index.clamp(min=0)]
        return view, index.where(wanted & (index != NO_INDEX), NO_INDEX)

    def _view(
        self, text: Text, vocab: Vocab, cuts: Int[Tensor, "B 2"], kind: Int[Tensor, " B"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Take rows apart; return also the index of the token that each position predicts.

        Args:
            text: the text.
            vocab: which ids are the marks.
            cuts: where middle and suffix begin.
            kind: of each row: 0 leaves it whole, 1 is PSM, 2 is SPM.
        """
        num_rows, length = text.tokens.shape
        indices = torch.arange(length).expand(num_rows, length)
        rank = {name: torch.tensor(ranks)[kind][:, None] for name, ranks in ORDERS.items()}
        keys = rank["prefix"].where(indices < cuts[:, :1], rank["middle"])
        keys = keys.where(indices < cuts[:, 1:], rank["suffix"])
        keys = rank["bos"].where(indices == 0, keys)
        marks = torch.tensor([*map(vocab.require, MARKS), vocab.eos]).expand(num_rows, -1)
        keys = torch.cat([keys, *(rank[name] for name in (*MARKS, "end"))], dim=1)
        order = keys.argsort(dim=1, stable=True)
        apart = (kind > 0)[:, None].expand_as(marks)
        document = None
        if text.document is not None:
            document = torch.cat([text.document, text.document[:, :1].expand_as(marks)], dim=1)
        row = pack(
            torch.cat([text.tokens, marks], dim=1).gather(1, order),
            torch.cat([text.visible, apart], dim=1).gather(1, order),
            index=torch.cat([indices, torch.full_like(marks, NO_INDEX)], dim=1).gather(1, order),
            document=None if document is None else document.gather(1, order),
            pad=vocab.pad,
        )
        is_end = row.visible & (row.tokens == vocab.eos) & (row.index == NO_INDEX)
        predicted = (~vocab.is_special(row.tokens) | is_end).roll(-1, dims=1)
        predicted[:, -1] = False
        target = row.tokens.roll(-1, dims=1).where(predicted, IGNORE)
        document = row.document
        if document is not None:  # a mark is of the document of what follows it
            slot = torch.arange(row.tokens.shape[1])
            follows = slot.where(row.index != NO_INDEX, slot[-1]).flip(1).cummin(1).values.flip(1)
            document = document.gather(1, follows)
        view = View.causal(row.tokens, visible=row.visible, document=document)
        index = row.index.roll(-1, dims=1).where(predicted, NO_INDEX)
        return view.predicting(target, mean_over(target)), index
