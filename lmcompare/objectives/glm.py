"""Blank infilling: spans give way to masks, and are written one after another in random order.

Du et al. 2022, GLM (https://arxiv.org/abs/2103.10360). Two position channels say where a token of a
span stands: at its mask, and how far within the span. The context sees itself from both sides and
carries no loss; a span sees the context, the spans written before it, and its own beginning.
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX, mean_over
from lmcompare.objectives.corruption.packing import interleave, with_masks
from lmcompare.objectives.corruption.spans import Spans, runs, scattered
from lmcompare.objectives.seq2seq_base import FromTheRest
from lmcompare.objectives.t5 import require_spans
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab


class Glm(FromTheRest):
    """Spans of Poisson's law, each begun by the start token and ended by the end token."""

    name: Literal["glm"] = "glm"
    rate: float = Field(0.15, gt=0, lt=1, description="share of tokens to take out")
    mean_span: float = Field(3.0, gt=0, description="of Poisson's law; no span is empty")
    paper: ClassVar[str] = "Du et al. 2022, GLM"
    attention: ClassVar[str] = "both sides in the context, then what was written before"
    predicts: ClassVar[str] = "spans taken out of the context, and their ends"
    generates: ClassVar[str] = "left to right, into holes of any length"

    @property
    def needs(self) -> tuple[str, ...]:
        return (*super().needs, "mask")

    @property
    def hides(self) -> float:
        return self.rate

    def require(self, vocab: Vocab, *, length: int) -> None:
        super().require(vocab, length=length)
        require_spans(self.name, self.rate, self.mean_span, length=length)

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        """Put a mask in the place of each span, and write the spans in random order.

        With rate=0.5, mean_span=2 and seed 0, "We hold these truths to be self-evident" becomes

            reads     [BOS] [MASK] [MASK] to be self-evident [BOS] these  truths [BOS] We   hold
            order     0     0      0      0  0  0            1     2      3      4     5    6
            predicts  .     .      .      .  .  .            these truths [EOS]  We    hold [EOS]
        """
        candidates = ~vocab.is_special(text.tokens)
        spans = scattered(
            candidates.cumsum(1) - 1, candidates, self.rate, rng, mean=self.mean_span, shortest=1
        )
        keys = torch.rand(text.tokens.shape, generator=rng)
        return self._view(text, spans, vocab, keys)[0]

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)

    def laid_out(
        self, text: Text, hidden: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Write each run of hidden tokens as a span, in the order of the text."""
        keys = torch.arange(float(text.tokens.shape[1])).expand(text.tokens.shape)
        return self._view(text, runs(hidden), vocab, keys)

    def _view(
        self, text: Text, spans: Spans, vocab: Vocab, span_keys: Float[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Return context and spans in one row, and the index of what each position predicts.

        Args:
            text: the text.
            spans: what is taken out of it.
            vocab: which ids are mask, start and end.
            span_keys: by a span's number: spans are written from the least to the greatest.
        """
        context = with_masks(text, spans, vocab)
        num_rows, length = text.tokens.shape
        # Two slots for each token of the text: the start of a span before it, and itself.
        indices = torch.arange(length).expand(num_rows, length)
        kept = interleave(spans.begins, spans.covered)
        slots = kept.sum(1)
        width = max(1, int(slots.max()))
        number = (spans.number - 1).clamp(min=0)
        keys = interleave(span_keys.gather(1, number), span_keys.gather(1, number))
        order = keys.masked_fill(~kept, torch.inf).argsort(dim=1, stable=True)[:, :width]
        used = torch.arange(width) < slots[:, None]

        def arranged(marks: Tensor, tokens: Tensor) -> Tensor:
            return interleave(marks, tokens).gather(1, order)

        tokens = arranged(torch.tensor(vocab.bos), text.tokens)
        index = arranged(torch.tensor(NO_INDEX), indices).where(used, NO_INDEX)
        span = arranged(number, number).where(used, NO_INDEX)
        # A mask stands after what is kept before its span, and after the masks before it.
        stands = (text.visible & ~spans.covered).cumsum(1) + number
        at_mask = torch.zeros_like(indices).scatter_(
            1, number.where(spans.begins, length - 1), stands
        )
        last = torch.ones_like(used)
        last[:, :-1] = span[:, 1:] != span[:, :-1]
        following = torch.cat([tokens[:, 1:], tokens[:, :1]], dim=1)
        target = following.where(~last, vocab.eos).where(used, IGNORE)
        predicted = torch.cat([index[:, 1:], index[:, :1]], dim=1).where(~last, NO_INDEX)
        slot = torch.arange(width).expand_as(tokens)
        start = slot.where(index == NO_INDEX, 0).cummax(1).values
        nothing = torch.full_like(context.tokens, IGNORE)
        target = torch.cat([nothing, target], dim=1)
        document = None
        if context.document is not None and text.document is not None:
            written = arranged(text.document, text.document)
            document = torch.cat([context.document, written], dim=1)
        first = torch.arange(context.tokens.shape[1]).expand_as(context.tokens)
        view = View(
            tokens=torch.cat([context.tokens, tokens.where(used, vocab.pad)], dim=1),
            position=torch.cat([first, at_mask.gather(1, span.clamp(min=0))], dim=1),
            within=torch.cat([torch.zeros_like(first), slot - start + 1], dim=1),
            order=torch.cat([torch.zeros_like(first), slot + 1], dim=1),
            visible=torch.cat([context.visible, used], dim=1),
            target=target,
            weight=mean_over(target),
            document=document,
        )
        return view, torch.cat([torch.full_like(context.tokens, NO_INDEX), predicted], dim=1)
