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

from lmcompare.objectives.corruption.noise import NOWHERE, mean_over
from lmcompare.objectives.corruption.packing import beside, with_masks
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
        candidates = ~vocab.is_special(text.tokens)
        spans = scattered(
            candidates.cumsum(1) - 1, candidates, self.rate, rng, mean=self.mean_span, shortest=1
        )
        turn = torch.rand(text.tokens.shape, generator=rng)
        return self._view(text, spans, vocab, turn)[0]

    def read(self, text: Text, vocab: Vocab) -> View:
        return View.bidirectional(text.tokens, visible=text.visible, document=text.document)

    def laid_out(
        self, text: Text, asked: Bool[Tensor, "B T"], vocab: Vocab
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Each run of asked tokens is a span; they are written in the order of the text."""
        turn = torch.arange(float(text.tokens.shape[1])).expand(text.tokens.shape)
        return self._view(text, runs(asked), vocab, turn)

    def _view(
        self, text: Text, spans: Spans, vocab: Vocab, turn: Float[Tensor, "B T"]
    ) -> tuple[View, Int[Tensor, "B S"]]:
        """Context and spans in one row, and which token of the text each position predicts.

        Args:
            text: the text.
            spans: what is taken out of it.
            vocab: which ids are mask, start and end.
            turn: by a span's number, when it is written.
        """
        context = with_masks(text, spans, vocab)
        num_rows, length = text.tokens.shape
        # Two slots for each token of the text: the start of a span before it, and itself.
        places = torch.arange(length).expand(num_rows, length)
        kept = beside(spans.begins, spans.covered)
        slots = kept.sum(1)
        width = max(1, int(slots.max()))
        number = (spans.number - 1).clamp(min=0)
        keys = beside(turn.gather(1, number), turn.gather(1, number))
        index = keys.masked_fill(~kept, torch.inf).argsort(dim=1, stable=True)[:, :width]
        used = torch.arange(width) < slots[:, None]

        def arranged(marks: Tensor, tokens: Tensor) -> Tensor:
            return beside(marks, tokens).gather(1, index)

        tokens = arranged(torch.tensor(vocab.bos), text.tokens)
        place = arranged(torch.tensor(NOWHERE), places).where(used, NOWHERE)
        span = arranged(number, number).where(used, NOWHERE)
        # A mask stands behind what is kept before its span, and behind the masks before it.
        stands = (text.visible & ~spans.covered).cumsum(1) + number
        at_mask = torch.zeros_like(places).scatter_(
            1, number.where(spans.begins, length - 1), stands
        )
        last = torch.ones_like(used)
        last[:, :-1] = span[:, 1:] != span[:, :-1]
        following = torch.cat([tokens[:, 1:], tokens[:, :1]], dim=1)
        target = following.where(~last, vocab.eos).where(used, IGNORE)
        predicted = torch.cat([place[:, 1:], place[:, :1]], dim=1).where(~last, NOWHERE)
        slot = torch.arange(width).expand_as(tokens)
        start = slot.where(place == NOWHERE, 0).cummax(1).values
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
        return view, torch.cat([torch.full_like(context.tokens, NOWHERE), predicted], dim=1)
