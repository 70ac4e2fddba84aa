"""Denoising: the whole text is written from a source that was damaged.

Lewis et al. 2020, BART (https://arxiv.org/abs/1910.13461), section 2.2: text infilling (spans of
words, empty ones included, each become one mask), token masking and token deletion; sentences in
random order; the document begun at a random token. Every token is a target, and the text's end.
"""

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare.errors import Unsupported, UserError
from lmcompare.objectives.base import LONGER, Query
from lmcompare.objectives.corruption.noise import (
    NOWHERE,
    mean_over,
    next_place,
    next_token,
    tokens_at_rate,
)
from lmcompare.objectives.corruption.packing import PackedRows, pack, with_masks
from lmcompare.objectives.corruption.spans import runs, scattered
from lmcompare.objectives.decoding.autoregressive import follow
from lmcompare.objectives.decoding.fill_request import FillRequest, FillResult
from lmcompare.objectives.decoding.template import Script
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring import score_spans
from lmcompare.objectives.seq2seq_base import SequenceToSequence
from lmcompare.objectives.t5 import aligned
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab


class Bart(SequenceToSequence):
    """A damaged text is the source, the whole text the output."""

    name: Literal["bart"] = "bart"
    noise: Literal["infill", "mask", "delete", "none"] = Field(
        "infill", description="spans become one mask; tokens become masks; tokens vanish"
    )
    rate: float = Field(0.3, gt=0, lt=1, description="share of words (infill) or tokens damaged")
    mean_span: float = Field(3.0, ge=1, description="words in a span, in the mean (infill)")
    shuffle_sentences: bool = Field(False, description="sentences in random order")
    rotate: bool = Field(False, description="begin at a random token")
    paper: ClassVar[str] = "Lewis et al. 2020, BART"
    attention: ClassVar[str] = "both sides in the source, then what stands before"
    predicts: ClassVar[str] = "the whole text, from a damaged one"
    generates: ClassVar[str] = "left to right, the text with its holes filled"

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, "mask")

    @property
    def hides(self) -> float:
        return 0.0 if self.noise == "none" else self.rate

    def require(self, vocab: Vocab, *, length: int) -> None:
        super().require(vocab, length=length)
        num_noise = round((length - 1) * self.rate)
        if self.noise != "none" and num_noise < 1:
            raise UserError(
                f"bart with rate {self.rate} damages none of the {length - 1} tokens of a block: "
                f"{LONGER} or a higher objective.rate"
            )
        if self.noise == "infill" and num_noise < self.mean_span:
            raise UserError(
                f"bart damages at most {num_noise} words of a block of {length} tokens, fewer than "
                f"one span of {self.mean_span:g}: {LONGER}, a higher objective.rate or a shorter "
                "objective.mean_span"
            )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        source = self._damaged(text, vocab, rng)
        target = next_token(text.tokens, ~vocab.is_special(text.tokens))
        last = text.visible.sum(1, keepdim=True) - 1
        return self._view(source, text, target.scatter(1, last, vocab.eos))

    def read(self, text: Text, vocab: Vocab) -> View:
        """The text as the source, and once more as what a decoder has written of it.

        As BART is fine-tuned (section 3): its decoder writes whole texts.
        """
        source = super().read(text, vocab)
        if not self.encodes:
            return source
        output = View.causal(text.tokens, visible=text.visible, document=text.document)
        return replace(output, source=source)

    def laid_out(
        self, text: Text, asked: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Each run of asked tokens is one mask in the source; all before a token is written."""
        return self._written(with_masks(text, runs(asked), vocab), text, asked)

    def answer(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """With its end, a hole is asked for together with all that is written after it.

        Raises:
            Unsupported: so, and a row has several holes.
        """
        text, asked = query.text, query.asked
        if query.scoring != "with-ends":
            return super().answer(net, query, vocab)
        if (runs(asked).total > 1).any():
            raise Unsupported(
                "bart writes all that follows a hole anew, and does not say where each of several "
                "holes ends"
            )
        rest = (asked.cumsum(1) > 0) & text.visible
        if text.document is not None:
            rest &= text.document == text.document.gather(1, asked.int().argmax(1, keepdim=True))
        target = next_token(text.tokens, rest & ~vocab.is_special(text.tokens))
        last = text.visible.sum(1, keepdim=True) - 1
        ended = torch.where(rest.gather(1, last), vocab.eos, IGNORE)
        target = target.scatter(1, last, ended)
        view = self._view(with_masks(text, runs(asked), vocab), text, target)
        place = next_place(text.tokens).where(asked.roll(-1, dims=1), NOWHERE)
        place = aligned(place.cummax(1).values.where(target != IGNORE, NOWHERE), view)
        return score_spans(net, view, place, text, vocab, ends=self.ends(vocab))

    def write(self, net: Writer, blanks: FillRequest, vocab: Vocab) -> FillResult:
        """With holes of any length all is written that follows the first: no token ends a hole.

        What follows the first counts with the limit of the holes.
        """
        if not blanks.any_length:
            return super().write(net, blanks, vocab)
        source = with_masks(blanks.text, runs(blanks.holes), vocab)
        rest = (blanks.holes.cumsum(1) > 0) & blanks.text.visible
        view, place = self._written(source, blanks.text, rest)
        other_holes = (runs(blanks.holes).total - 1).clamp(min=0)
        more = (rest & ~blanks.holes).sum(1) + other_holes * blanks.limit
        blanks = replace(blanks, holes=rest)
        script = Script.of(view, place, blanks, ends=self.ends(vocab), more=more)
        return follow(net, script, blanks, vocab)

    def _written(
        self, source: PackedRows, text: Text, asked: Bool[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """What writes the text, and which asked token each position predicts."""
        target = next_token(text.tokens, asked)
        view = self._view(source, text, target)
        return view, aligned(next_place(text.tokens).where(target != IGNORE, NOWHERE), view)

    def _view(self, source: PackedRows, text: Text, target: Int[Tensor, "B T"]) -> View:
        output = View.causal(text.tokens, visible=text.visible, document=text.document)
        return self.join(source.bidirectional(), output.predicting(target, mean_over(target)))

    def _damaged(self, text: Text, vocab: Vocab, rng: torch.Generator) -> PackedRows:
        if self.shuffle_sentences:
            text = _in_order(text, _shuffled_sentences(text, vocab, rng))
        if self.rotate:
            text = _in_order(text, _rotated(text, rng))
        candidates = ~vocab.is_special(text.tokens)
        if self.noise == "infill":
            spans = scattered(
                text.word - 1, candidates, self.rate, rng, mean=self.mean_span, shortest=0
            )
            return with_masks(text, spans, vocab)
        chosen = torch.zeros_like(candidates)
        if self.noise != "none":
            chosen = tokens_at_rate(candidates, self.rate, rng)
        masked = self.noise == "mask"
        return pack(
            text.tokens.masked_fill(chosen, vocab.mask) if masked else text.tokens,
            text.visible if masked else text.visible & ~chosen,
            place=torch.arange(text.tokens.shape[1]).expand_as(text.tokens),
            document=text.document,
            pad=vocab.pad,
        )


def _shuffled_sentences(text: Text, vocab: Vocab, rng: torch.Generator) -> Float[Tensor, "B T"]:
    """A key of each token to sort by: its sentence's place, drawn within its document."""
    special = vocab.is_special(text.tokens)  # stays, between the documents that it parts
    begins = torch.zeros_like(text.visible)
    begins[:, 1:] = vocab.ends_sentence(text.tokens)[:, :-1] | special[:, :-1]
    keys = torch.rand(begins.shape, generator=rng).gather(1, begins.cumsum(1))
    return keys.masked_fill(special, 0) + special.cumsum(1)


def _rotated(text: Text, rng: torch.Generator) -> Float[Tensor, "B T"]:
    """A key of each token to sort by: how far it stands behind the one to begin with."""
    length = text.visible.sum(1, keepdim=True) - 1
    begin = (torch.rand(length.shape, generator=rng) * length).long()
    place = torch.arange(text.tokens.shape[1]) - 1
    return ((place - begin) % length.clamp(min=1)).float()


def _in_order(text: Text, keys: Float[Tensor, "B T"]) -> Text:
    """The text with its tokens in the order of their keys; start token and padding stay."""
    keys = keys.masked_fill(~text.visible, torch.inf)
    keys[:, 0] = -torch.inf
    index = keys.argsort(dim=1, stable=True)
    word = text.word.gather(1, index)
    begins = torch.ones_like(word)
    begins[:, 1:] = word[:, 1:] != word[:, :-1]
    return replace(
        text,
        tokens=text.tokens.gather(1, index),
        visible=text.visible.gather(1, index),
        word=begins.cumsum(1) - 1,
        document=None if text.document is None else text.document.gather(1, index),
    )
