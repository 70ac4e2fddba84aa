"""Where tokens go when a text is taken apart: rows packed to the left, and sources with outputs."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NOWHERE, mean_over
from lmcompare.objectives.corruption.spans import Spans
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab


@dataclass(frozen=True, kw_only=True)
class PackedRows:
    """Tokens of each row, packed to the left."""

    tokens: Int[Tensor, "B S"]
    visible: Bool[Tensor, "B S"]
    place: Int[Tensor, "B S"]  # where they stand in the text, or NOWHERE
    document: Int[Tensor, "B S"] | None

    def bidirectional(self) -> View:
        """As an encoder reads it."""
        return View.bidirectional(self.tokens, visible=self.visible, document=self.document)


def pack(
    tokens: Int[Tensor, "B N"],
    keep: Bool[Tensor, "B N"],
    *,
    place: Int[Tensor, "B N"],
    document: Int[Tensor, "B N"] | None,
    pad: int,
) -> PackedRows:
    """The kept tokens of each row in their order, padded to the longest row."""
    goes = keep.cumsum(1) - 1
    length = max(1, int(goes[:, -1].max()) + 1)
    row, column = keep.nonzero(as_tuple=True)
    goes = goes[row, column]

    def packed(channel: Tensor, fill: int) -> Tensor:
        return channel.new_full((len(tokens), length), fill).index_put_(
            (row, goes), channel[row, column]
        )

    return PackedRows(
        tokens=packed(tokens, pad),
        visible=torch.arange(length) < keep.sum(1, keepdim=True),
        place=packed(place, NOWHERE),
        document=None if document is None else packed(document, 0),
    )


def beside(marks: Tensor, tokens: Tensor) -> Tensor:
    """A mark before each token: two columns out of one."""
    return torch.stack([marks.expand_as(tokens), tokens], dim=2).flatten(1)


def with_sentinels(
    text: Text, spans: Spans, vocab: Vocab, *, first: Int[Tensor, " B"] | None = None
) -> tuple[PackedRows, PackedRows]:
    """T5's source and output (Raffel et al. 2020, section 3.1.4).

    Each span is one sentinel in the source; the output is each sentinel followed by its span, and
    an end token. Spans for which there is no sentinel left stay in the source.

    Args:
        text: the text.
        spans: what is taken out of it.
        vocab: with sentinels.
        first: of each row, a token that is put in front of each document of the source.
    """
    sentinels = torch.tensor(vocab.sentinels)
    number = spans.number
    covered = spans.covered & (number <= len(sentinels))
    begins = spans.begins & covered
    marks = sentinels[(number - 1).clamp(0, len(sentinels) - 1)]
    tokens = beside(marks, text.tokens)
    places = torch.arange(text.tokens.shape[1]).expand_as(text.tokens)
    place = beside(torch.tensor(NOWHERE), places)
    document = None if text.document is None else text.document.repeat_interleave(2, dim=1)
    kept = beside(begins, text.visible & ~covered)
    if first is None:
        source = pack(tokens, kept, place=place, document=document, pad=vocab.pad)
    else:  # behind the token that opens a document
        opened = torch.zeros_like(text.visible)
        opened[:, 1] = True
        if text.document is not None:
            opened[:, 2:] = text.document[:, 1:-1] != text.document[:, :-2]
        source = pack(
            _before_each(first[:, None], tokens),
            _before_each(opened & text.visible, kept),
            place=_before_each(torch.tensor(NOWHERE), place),
            document=None if text.document is None else text.document.repeat_interleave(3, dim=1),
            pad=vocab.pad,
        )
    last = begins.any(1, keepdim=True)
    output = pack(
        torch.cat([tokens, torch.full_like(tokens[:, :1], vocab.eos)], dim=1),
        torch.cat([beside(begins, covered), last], dim=1),
        place=torch.cat([place, torch.full_like(place[:, :1], NOWHERE)], dim=1),
        document=None if document is None else torch.cat([document, document[:, -1:]], dim=1),
        pad=vocab.pad,
    )
    return source, output


def _before_each(added: Tensor, pairs: Tensor) -> Tensor:
    """One more column before each mark and its token: three out of two."""
    pairs = pairs.unflatten(1, (-1, 2))
    return torch.cat([added.expand(pairs.shape[:2])[..., None], pairs], dim=2).flatten(1)


def with_masks(text: Text, spans: Spans, vocab: Vocab) -> PackedRows:
    """The text with one mask for each span, empty ones included; its spans are taken out."""
    kept = text.visible & ~spans.covered
    length = kept.sum(1) + spans.total
    width = int(length.max())
    row, column = kept.nonzero(as_tuple=True)
    goes = (kept.cumsum(1) - 1 + spans.number)[row, column]
    tokens = torch.full((len(kept), width), vocab.mask).index_put_(
        (row, goes), text.tokens[row, column]
    )
    place = torch.full_like(tokens, NOWHERE).index_put_((row, goes), column)
    visible = torch.arange(width) < length[:, None]
    document = None
    if text.document is not None:
        # a mask is of the document before it
        nearest = place.cummax(1).values.clamp(min=0)
        document = text.document.gather(1, nearest)
    return PackedRows(
        tokens=tokens.masked_fill(~visible, vocab.pad),
        visible=visible,
        place=place,
        document=document,
    )


def write(output: PackedRows, vocab: Vocab) -> View:
    """A causal view that writes `output`, from a start token; each of its tokens is a target."""
    start = torch.full_like(output.tokens[:, :1], vocab.bos)
    begun = torch.ones_like(output.visible[:, :1])
    document = output.document
    if document is not None:
        document = torch.cat([document[:, :1], document[:, :-1]], dim=1)
    view = View.causal(
        torch.cat([start, output.tokens[:, :-1]], dim=1),
        visible=torch.cat([begun, output.visible[:, :-1]], dim=1),
        document=document,
    )
    target = output.tokens.masked_fill(~output.visible, IGNORE)
    return view.predicting(target, mean_over(target))


def in_one_row(source: View, output: View) -> View:
    """The output after the source, for a network without an encoder: the source is a prefix."""
    after = source.visible.sum(1, keepdim=True)
    document = None
    if source.document is not None and output.document is not None:
        document = torch.cat([source.document, output.document], dim=1)
    return View(
        tokens=torch.cat([source.tokens, output.tokens], dim=1),
        visible=torch.cat([source.visible, output.visible], dim=1),
        target=torch.cat([source.target, output.target], dim=1),
        weight=torch.cat([source.weight, output.weight], dim=1),
        position=torch.cat([source.position, output.position + after], dim=1),
        order=torch.cat([torch.zeros_like(source.order), output.order + 1], dim=1),
        document=document,
    )


def at_places(
    log_prob: Float[Tensor, "B S"], place: Int[Tensor, "B S"], length: int
) -> Float[Tensor, "B {length}"]:
    """What was found of each token of the text, added up where it stands there."""
    row, column = (place != NOWHERE).nonzero(as_tuple=True)
    scores = torch.zeros(len(place), length)
    return scores.index_put_((row, place[row, column]), log_prob[row, column], accumulate=True)
