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
from lmcompare.objectives.base import LONGER
from lmcompare.objectives.corruption.noise import (
    NO_INDEX,
    mean_over,
    next_index,
    next_token,
    tokens_at_rate,
)
from lmcompare.objectives.corruption.packing import PackedRows, pack, with_masks
from lmcompare.objectives.corruption.spans import runs, scattered
from lmcompare.objectives.decoding.autoregressive import decode
from lmcompare.objectives.decoding.fill_request import FillRequest, FillResult
from lmcompare.objectives.decoding.template import DecodeTemplate
from lmcompare.objectives.network import Network, Writer
from lmcompare.objectives.scoring.spans import score_spans
from lmcompare.objectives.scoring_types import Query
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
        """Damage the text, and write all of it and its end.

        With rate=0.4, mean_span=2 and seed 1, "We hold these truths to be self-evident" becomes

            source    [BOS] We hold [MASK] be self-evident
            reads     [BOS] We   hold  these  truths to be           self-evident
            predicts  We    hold these truths to     be self-evident [EOS]
        """
        source = self._damaged(text, vocab, rng)
        target = next_token(text.tokens, ~vocab.is_special(text.tokens))
        last = text.visible.sum(1, keepdim=True) - 1
        return self._view(source, text, target.scatter(1, last, vocab.eos))

    def read(self, text: Text, vocab: Vocab) -> View:
        """Return the text as the source, and once more as what a decoder has written of it.

        As BART is fine-tuned (section 3): its decoder writes whole texts.
        """
        source = super().read(text, vocab)
        if not self.encodes:
            return source
        output = View.causal(text.tokens, visible=text.visible, document=text.document)
        return replace(output, source=source)

    def laid_out(
        self, text: Text, hidden: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Make each run of hidden tokens one mask of the source; all before a token is written."""
        return self._written(with_masks(text, runs(hidden), vocab), text, hidden)

    def with_ends(self, net: Network, query: Query, vocab: Vocab) -> Float[Tensor, "B T"]:
        """Score a hole and its end together with all that is written after it.

        Raises:
            Unsupported: a row has several holes.
        """
        text, hidden = query.text, query.score_mask
        if (runs(hidden).total > 1).any():
            raise Unsupported(
                "bart writes all that follows a hole anew, and does not say where each of several "
                "holes ends"
            )
        rest = (hidden.cumsum(1) > 0) & text.visible
        if text.document is not None:
            rest &= text.document == text.document.gather(1, hidden.int().argmax(1, keepdim=True))
        target = next_token(text.tokens, rest & ~vocab.is_special(text.tokens))
        last = text.visible.sum(1, keepdim=True) - 1
        ended = torch.where(rest.gather(1, last), vocab.eos, IGNORE)
        target = target.scatter(1, last, ended)
        view = self._view(with_masks(text, runs(hidden), vocab), text, target)
        index = next_index(text.tokens).where(hidden.roll(-1, dims=1), NO_INDEX)
        index = aligned(index.cummax(1).values.where(target != IGNORE, NO_INDEX), view)
        return score_spans(net, view, index, text, vocab, ends=self.ends(vocab))

    def write(self, net: Writer, request: FillRequest, vocab: Vocab) -> FillResult:
        """Write all that follows the first hole where they are of any length: no token ends a hole.

        What follows the first counts with the limit of the holes.
        """
        if not request.any_length:
            return super().write(net, request, vocab)
        source = with_masks(request.text, runs(request.holes), vocab)
        rest = (request.holes.cumsum(1) > 0) & request.text.visible
        view, index = self._written(source, request.text, rest)
        other_holes = (runs(request.holes).total - 1).clamp(min=0)
        more = (rest & ~request.holes).sum(1) + other_holes * request.limit
        request = replace(request, holes=rest)
        template = DecodeTemplate.of(view, index, request, ends=self.ends(vocab), more=more)
        return decode(net, template, request, vocab)

    def _written(
        self, source: PackedRows, text: Text, hidden: Bool[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Return what writes the text, and the index of the hidden token each position predicts."""
        target = next_token(text.tokens, hidden)
        view = self._view(source, text, target)
        return view, aligned(next_index(text.tokens).where(target != IGNORE, NO_INDEX), view)

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
            index=torch.arange(text.tokens.shape[1]).expand_as(text.tokens),
            document=text.document,
            pad=vocab.pad,
        )


def _shuffled_sentences(text: Text, vocab: Vocab, rng: torch.Generator) -> Float[Tensor, "B T"]:
    """Return keys to sort tokens by: the place of their sentence, drawn within its document."""
    special = vocab.is_special(text.tokens)  # stays, between the documents that it parts
    begins = torch.zeros_like(text.visible)
    begins[:, 1:] = vocab.ends_sentence(text.tokens)[:, :-1] | special[:, :-1]
    keys = torch.rand(begins.shape, generator=rng).gather(1, begins.cumsum(1))
    return keys.masked_fill(special, 0) + special.cumsum(1)


def _rotated(text: Text, rng: torch.Generator) -> Float[Tensor, "B T"]:
    """Return keys to sort tokens by: how far each stands after the one to begin with."""
    length = text.visible.sum(1, keepdim=True) - 1
    begin = (torch.rand(length.shape, generator=rng) * length).long()
    index = torch.arange(text.tokens.shape[1]) - 1
    return ((index - begin) % length.clamp(min=1)).float()


def _in_order(text: Text, keys: Float[Tensor, "B T"]) -> Text:
    """Sort the tokens of a text by their keys; start token and padding stay."""
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
