"""Span corruption: spans give way to sentinels in the source, and are written out one by one.

Raffel et al. 2020, T5 (https://arxiv.org/abs/1910.10683), section 3.1.4. The source begins with the
start token where T5's ends with an end token, so lengths are theirs; special tokens inside a text
stay where they are.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare.errors import Unsupported, UserError
from lmcompare.objectives.base import LONGER
from lmcompare.objectives.corruption.noise import NO_INDEX
from lmcompare.objectives.corruption.packing import with_sentinels, write
from lmcompare.objectives.corruption.spans import Spans, alternating, runs
from lmcompare.objectives.seq2seq_base import SequenceToSequence
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab


class T5(SequenceToSequence):
    """A share of the tokens in spans of a mean length; only they are written."""

    name: Literal["t5"] = "t5"
    rate: float = Field(0.15, gt=0, lt=1, description="share of tokens to take out")
    mean_span: float = Field(3.0, ge=1, description="tokens in a span, in the mean")
    roll: bool = Field(
        False, description="let spans stand anywhere; T5's never cover the first token"
    )
    paper: ClassVar[str] = "Raffel et al. 2020, T5"
    attention: ClassVar[str] = "both sides in the source, then what stands before"
    predicts: ClassVar[str] = "spans taken out of the source"
    generates: ClassVar[str] = "left to right, into holes of any length"

    @property
    def hides(self) -> float:
        return self.rate

    def require(self, vocab: Vocab, *, length: int) -> None:
        super().require(vocab, length=length)
        require_spans(self.name, self.rate, self.mean_span, length=length)
        require_sentinels(
            self.name, vocab, self.rate, self.mean_span, length=length, spare=int(self.roll)
        )

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Put a sentinel in the place of each span, and write sentinels and spans.

        With rate=0.4, mean_span=1.5 and seed 1, "We hold these truths to be self-evident" becomes

            source    [BOS] We <0> truths to be <1>
            reads     [BOS] <0>  hold  these <1>          self-evident
            predicts  <0>   hold these <1>   self-evident [EOS]
        """
        candidates = ~vocab.is_special(text.tokens)
        num_noise, num_spans = num_of(candidates, self.rate, self.mean_span)
        spans = alternating(candidates, num_noise, num_spans, rng, roll=self.roll)
        return self._view(text, spans, vocab)[0]

    def ends(self, vocab: Vocab) -> tuple[int, ...]:
        return (vocab.eos, *vocab.sentinels)

    def laid_out(
        self, text: Text, hidden: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        return self._view(text, hidden_spans(self.name, text, vocab, hidden), vocab)

    def _view(self, text: Text, spans: Spans, vocab: Vocab) -> tuple[View, Int[Tensor, "B S"]]:
        """Return the view, and the index in the text of the token that each position predicts."""
        source, output = with_sentinels(text, spans, vocab)
        view = self.join(source.bidirectional(), write(output, vocab))
        return view, aligned(output.index, view)


def num_of(
    candidates: Bool[Tensor, "B T"],
    rate: float | Float[Tensor, " B"],
    mean_span: float | Float[Tensor, " B"],
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Return T5's numbers of tokens and of spans to take out of each row."""
    num_noise = (candidates.sum(1) * rate).round()
    return num_noise.long(), (num_noise / mean_span).round().long().clamp(min=1)


def aligned(index: Int[Tensor, "B S"], view: View) -> Int[Tensor, "B N"]:
    """Extend the indices of an output to the whole view, whose last positions it has."""
    before = view.tokens.shape[1] - index.shape[1]
    return torch.cat([index.new_full((len(index), before), NO_INDEX), index], dim=1)


def hidden_spans(name: str, text: Text, vocab: Vocab, hidden: Bool[Tensor, "B T"]) -> Spans:
    """Return each run of hidden tokens as a span.

    Raises:
        Unsupported: there are more of them than sentinels.
    """
    spans = runs(hidden & ~vocab.is_special(text.tokens))
    if (most := int(spans.total.max())) > len(vocab.sentinels):
        raise Unsupported(
            f"{name} has {len(vocab.sentinels)} sentinels for the {most} holes of a text"
        )
    return spans


def require_spans(name: str, rate: float, mean_span: float, *, length: int) -> None:
    """Make sure that blocks of `length` tokens have room for spans.

    Raises:
        UserError: they have not.
    """
    num_noise = round((length - 1) * rate)
    if num_noise < 1 or num_noise > length - 2:
        raise UserError(
            f"{name} with rate {rate} takes {num_noise} of the {length - 1} tokens of a block: "
            f"{LONGER} or another objective.rate"
        )
    if num_noise < mean_span:
        raise UserError(
            f"{name} takes {num_noise} tokens out of a block of {length}, fewer than one span of "
            f"{mean_span:g}: {LONGER} or a shorter objective.mean_span"
        )


def require_sentinels(
    name: str, vocab: Vocab, rate: float, mean_span: float, *, length: int, spare: int = 0
) -> None:
    """Make sure that there is a sentinel for each span of a block, and some to spare.

    Raises:
        UserError: there is not.
    """
    num_spans = max(1, round(round((length - 1) * rate) / mean_span)) + spare
    if num_spans > len(vocab.sentinels):
        raise UserError(
            f"{name} takes {num_spans} spans out of a block of {length} tokens, but the vocabulary "
            f"has {len(vocab.sentinels)} sentinels: choose shorter blocks (batch.length), a longer "
            "objective.mean_span, or a tokenizer with more"
        )
