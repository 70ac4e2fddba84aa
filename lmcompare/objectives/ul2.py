"""A mixture of denoisers, each announced to the network by a mode token.

Tay et al. 2022, UL2 (https://arxiv.org/abs/2205.05131), section 3.1. R: short spans, few of them
(T5's). X: long spans or many of them. S: the end of the text from its beginning (a prefix language
model). All take T5's form of sentinels; which row gets which is drawn anew at each step.
"""

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field, model_validator
from torch import Tensor

from lmcompare.objectives.corruption.noise import shares_of_rows
from lmcompare.objectives.corruption.packing import with_sentinels, write
from lmcompare.objectives.corruption.spans import Spans, alternating, runs
from lmcompare.objectives.seq2seq_base import SequenceToSequence
from lmcompare.objectives.t5 import (
    aligned,
    hidden_spans,
    num_of,
    require_sentinels,
    require_spans,
)
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

# mean length of a span and share of the tokens in spans, table 1
R = ((3.0, 0.15), (8.0, 0.15))
X = ((3.0, 0.5), (8.0, 0.5), (64.0, 0.15), (64.0, 0.5))
MODES = ("mode_r", "mode_s", "mode_x")


class Ul2(SequenceToSequence):
    """Rows shared out among the denoisers; the two of R and the four of X take even parts."""

    name: Literal["ul2"] = "ul2"
    r: float = Field(2.0, ge=0, description="weight of the R denoisers: spans, as T5's")
    s: float = Field(1.0, ge=0, description="weight of the S denoiser: the end of the text")
    x: float = Field(4.0, ge=0, description="weight of the X denoisers: long spans, or many")
    paper: ClassVar[str] = "Tay et al. 2022, UL2"
    attention: ClassVar[str] = "both sides in the source, then what stands before"
    predicts: ClassVar[str] = "short spans, long spans, or the end of the text"
    generates: ClassVar[str] = "left to right, into holes of any length"

    @model_validator(mode="after")
    def _some(self) -> "Ul2":
        if self.r + self.s + self.x == 0:
            raise ValueError("r, s and x are all 0, which is not a ratio: raise one of them")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, *MODES)

    @property
    def hides(self) -> float:
        weights = ((self.s, 1.0), (self.x, X[-1][1]), (self.r, R[-1][1]))
        return next(share for weight, share in weights if weight)

    def require(self, vocab: Vocab, *, length: int) -> None:
        super().require(vocab, length=length)
        for used, denoisers in ((self.r, R), (self.x, X)):
            for mean_span, rate in denoisers if used else ():
                require_spans(self.name, rate, 1.0, length=length)  # a long span is cut to fit
                require_sentinels(self.name, vocab, rate, mean_span, length=length, spare=1)
        if self.s:  # one span, however long
            require_sentinels(self.name, vocab, 1.0, float(length), length=length)

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Share the rows out among the denoisers R, S and X, each announced by its mode token.

        With r=1, s=1, x=1 and seed 2, three rows of "We hold these truths to be self-evident"
        become

            source    [BOS] [R] We hold these truths to <0> self-evident
            reads     [BOS] <0> be    [EOS]
            predicts  <0>   be  [EOS] .
            source    [BOS] [S] We hold <0>
            reads     [BOS] <0>   these  truths to be           self-evident
            predicts  <0>   these truths to     be self-evident [EOS]
            source    [BOS] [X] <0> these truths to <1>
            reads     [BOS] <0> We   hold <1> be           self-evident
            predicts  <0>   We  hold <1>  be  self-evident [EOS]
        """
        denoisers = torch.tensor([*R, (1.0, 0.5), *X])  # S between them; its spans are its own
        weights = [self.r / len(R)] * len(R) + [self.s] + [self.x / len(X)] * len(X)
        which = shares_of_rows(weights, len(text.tokens), rng)
        mode = torch.tensor([0] * len(R) + [1] + [2] * len(X))[which]
        candidates = ~vocab.is_special(text.tokens)
        mean_span, rate = denoisers[which].unbind(1)
        spans = alternating(candidates, *num_of(candidates, rate, mean_span), rng, roll=True)
        last = text.visible.sum(1).clamp(min=3)  # a prefix is 1 to all but one token long
        split = 2 + (torch.rand(len(which), generator=rng) * (last - 2)).long()
        end = runs(candidates & (torch.arange(text.tokens.shape[1]) >= split[:, None]))
        ends = (mode == 1)[:, None]
        chosen = Spans(
            covered=end.covered.where(ends, spans.covered),
            number=end.number.where(ends, spans.number),
            total=end.total.where(mode == 1, spans.total),
        )
        view, _ = self._view(text, chosen, vocab, mode)
        return replace(view, part=mode)

    def ends(self, vocab: Vocab) -> tuple[int, ...]:
        return (vocab.eos, *vocab.sentinels)

    def laid_out(
        self, text: Text, hidden: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Do as T5; the mode is S where a row's end is hidden, R where little is, and X else."""
        spans = hidden_spans(self.name, text, vocab, hidden)
        last = text.visible.long().cumsum(1).argmax(1, keepdim=True)
        tail = (spans.total == 1) & spans.covered.gather(1, last)[:, 0]
        few = spans.covered.sum(1) < 0.3 * text.visible.sum(1)
        mode = torch.where(tail, 1, torch.where(few, 0, 2))
        return self._view(text, spans, vocab, mode)

    def _view(
        self, text: Text, spans: Spans, vocab: Vocab, mode: Int[Tensor, " B"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Return the view, and the index in the text of the token that each position predicts."""
        first = torch.tensor([vocab.require(role) for role in MODES])[mode]
        source, output = with_sentinels(text, spans, vocab, first=first)
        view = self.join(source.bidirectional(), write(output, vocab))
        return view, aligned(output.index, view)
