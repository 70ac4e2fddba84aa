"""Where tokens go when a text is taken apart: rows packed to the left, and sources with outputs."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX, mean_over
from lmcompare.objectives.corruption.spans import Spans
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab


@dataclass(frozen=True, kw_only=True)
class PackedRows:
    """Tokens of each row, packed to the left."""

    tokens: Int[Tensor, "B S"]
    visible: Bool[Tensor, "B S"]
    index: Int[Tensor, "B S"]  # where they stand in the text, or NO_INDEX
    document: Int[Tensor, "B S"] | None

    def bidirectional(self) -> View:
        """Return the view of an encoder."""
        return View.bidirectional(self.tokens, visible=self.visible, document=self.document)


def pack(
    tokens: Int[Tensor, "B N"],
    keep: Bool[Tensor, "B N"],
    *,
    index: Int[Tensor, "B N"],
    document: Int[Tensor, "B N"] | None,
    pad: int,
) -> PackedRows:
    """Pack the kept tokens of each row in their order, padded to the longest row."""
    column_of = keep.cumsum(1) - 1
    length = max(1, int(column_of[:, -1].max()) + 1)
    row, column = keep.nonzero(as_tuple=True)
    packed_column = column_of[row, column]

    def packed(channel: Tensor, fill: int) -> Tensor:
        return channel.new_full((len(tokens), length), fill).index_put_(
            (row, packed_column), channel[row, column]
        )

    return PackedRows(
        tokens=packed(tokens, pad),
        visible=torch.arange(length) < keep.sum(1, keepdim=True),
        index=packed(index, NO_INDEX),
        document=None if document is None else packed(document, 0),
    )


def interleave(marks: Tensor, tokens: Tensor) -> Tensor:
    """Put a mark before each token: two columns out of one."""
    return torch.stack([marks.expand_as(tokens), tokens], dim=2).flatten(1)


def with_sentinels(
    text: Text, spans: Spans, vocab: Vocab, *, first: Int[Tensor, " B"] | None = None
) -> tuple[PackedRows, PackedRows]:
    """Return T5's source and output (Raffel et al. 2020, section 3.1.4).

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
    tokens = interleave(marks, text.tokens)
    indices = torch.arange(text.tokens.shape[1]).expand_as(text.tokens)
    index = interleave(torch.tensor(NO_INDEX), indices)
    document = None if text.document is None else text.document.repeat_interleave(2, dim=1)
    kept = interleave(begins, text.visible & ~covered)
    if first is None:
        source = pack(tokens, kept, index=index, document=document, pad=vocab.pad)
    else:  # after the token that opens a document
        opened = torch.zeros_like(text.visible)
        opened[:, 1] = True
        if text.document is not None:
            opened[:, 2:] = text.document[:, 1:-1] != text.document[:, :-2]
        source = pack(
            _before_each(first[:, None], tokens),
            _before_each(opened & text.visible, kept),
            index=_before_each(torch.tensor(NO_INDEX), index),
            document=None if text.document is None else text.document.repeat_interleave(3, dim=1),
            pad=vocab.pad,
        )
    last = begins.any(1, keepdim=True)
    output = pack(
        torch.cat([tokens, torch.full_like(tokens[:, :1], vocab.eos)], dim=1),
        torch.cat([interleave(begins, covered), last], dim=1),
        index=torch.cat([index, torch.full_like(index[:, :1], NO_INDEX)], dim=1),
        document=None if document is None else torch.cat([document, document[:, -1:]], dim=1),
        pad=vocab.pad,
    )
    return source, output


def _before_each(added: Tensor, pairs: Tensor) -> Tensor:
    """Put one more column before each mark and its token: three out of two."""
    pairs = pairs.unflatten(1, (-1, 2))
    return torch.cat([added.expand(pairs.shape[:2])[..., None], pairs], dim=2).flatten(1)


def with_masks(text: Text, spans: Spans, vocab: Vocab) -> PackedRows:
    """Take spans out of a text, each giving way to one mask; an empty one adds a mask."""
    kept = text.visible & ~spans.covered
    length = kept.sum(1) + spans.total
    width = int(length.max())
    row, column = kept.nonzero(as_tuple=True)
    goes = (kept.cumsum(1) - 1 + spans.number)[row, column]
    tokens = torch.full((len(kept), width), vocab.mask).index_put_(
        (row, goes), text.tokens[row, column]
    )
    index = torch.full_like(tokens, NO_INDEX).index_put_((row, goes), column)
    visible = torch.arange(width) < length[:, None]
    document = None
    if text.document is not None:
        # a mask is of the document before it
        nearest = index.cummax(1).values.clamp(min=0)
        document = text.document.gather(1, nearest)
    return PackedRows(
        tokens=tokens.masked_fill(~visible, vocab.pad),
        visible=visible,
        index=index,
        document=document,
    )


def write(output: PackedRows, vocab: Vocab) -> View:
    """Return a causal view that writes `output` after a start token; each token is a target."""
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
    """Put the output after the source, which is a prefix, for a network without an encoder."""
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


def scores_at(
    index: Int[Tensor, "B S"], log_prob: Float[Tensor, "B S"], length: int
) -> Float[Tensor, "B {length}"]:
    """Add up log-probabilities at the index in the text of the token that each is about."""
    row, column = (index != NO_INDEX).nonzero(as_tuple=True)
    scores = torch.zeros(len(index), length)
    return scores.index_put_((row, index[row, column]), log_prob[row, column], accumulate=True)
