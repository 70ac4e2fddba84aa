"""Spans of a row: how long they are and where they stand. Pure functions of a generator.

Rows are drawn side by side, without a loop over rows, spans or tokens.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil, exp, lgamma, log, sqrt

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import first_by


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Spans in each row of a text, in their order."""

    covered: Bool[Tensor, "B T"]  # tokens that are in a span
    number: Int[Tensor, "B T"]  # of spans that begin at or before a token
    total: Int[Tensor, " B"]  # of spans of a row, empty ones included

    @property
    def begins(self) -> Bool[Tensor, "B T"]:
        """Mark the first token of each span that is not empty."""
        before = torch.full_like(self.number[:, :1], -1)
        last = torch.where(self.covered, self.number, before).cummax(1).values
        return self.covered & (self.number > torch.cat([before, last[:, :-1]], dim=1))


def runs(covered: Bool[Tensor, "B T"]) -> Spans:
    """Return each run of covered tokens as one span."""
    begins = covered.clone()
    begins[:, 1:] &= ~covered[:, :-1]
    return Spans(covered=covered, number=begins.cumsum(1), total=begins.sum(1))


def alternating(
    candidates: Bool[Tensor, "B T"],
    num_noise: Int[Tensor, " B"],
    num_spans: Int[Tensor, " B"],
    rng: torch.Generator,
    *,
    roll: bool = False,
) -> Spans:
    """Draw T5's spans: gap, span, gap, span, ... with lengths that are random compositions.

    All compositions are alike.

    The first gap is not empty and nothing follows the last span, so the first candidate is never
    covered and the last one always; `roll` turns a row by a random number of tokens. What is not a
    candidate (a special token) is never covered and ends a span.

    Args:
        candidates: tokens that may be covered, N of them in a row.
        num_noise: how many to cover; taken as 1 to N - 1.
        num_spans: in how many spans; taken as 1 to what fits.
        rng: the only source of randomness.
        roll: whether a span may stand anywhere.
    """
    count = candidates.sum(1)
    num_noise = num_noise.clamp(min=1).minimum(count - 1).clamp(min=0)
    num_spans = num_spans.minimum(num_noise).minimum(count - num_noise).clamp(min=1)
    lengths = [
        compositions(total, num_spans, rng) for total in (count - num_noise, num_noise)
    ]  # of gaps, and of spans
    ends = torch.stack(lengths, dim=2).flatten(1).cumsum(1)
    index = (candidates.cumsum(1) - 1).clamp(min=0)
    if roll:
        shift = (torch.rand(len(count), generator=rng) * count).long()
        index = (index + shift[:, None]) % count.clamp(min=1)[:, None]
    segment = torch.searchsorted(ends, index, right=True)
    covered = candidates & (segment % 2 == 1)
    begins = covered.clone()
    begins[:, 1:] &= ~covered[:, :-1] | (segment[:, 1:] != segment[:, :-1])
    return Spans(covered=covered, number=begins.cumsum(1), total=begins.sum(1))


def compositions(
    total: Int[Tensor, " B"], parts: Int[Tensor, " B"], rng: torch.Generator
) -> Int[Tensor, "B K"]:
    """Draw each total as a sum of `parts` positive numbers, all sums alike; then come zeros."""
    units = torch.arange(max(1, int(total.max())))
    keys = torch.rand(len(total), len(units), generator=rng)
    inside = units < total[:, None]
    cut = first_by(keys, inside & (units > 0), parts - 1)  # a part begins at each cut
    lengths = torch.zeros(len(total), max(1, int(parts.max())), dtype=torch.int64)
    return lengths.scatter_add_(1, cut.cumsum(1), inside.long())


def scattered(
    item: Int[Tensor, "B T"],
    candidates: Bool[Tensor, "B T"],
    rate: float,
    rng: torch.Generator,
    *,
    mean: float,
    shortest: int,
) -> Spans:
    """Draw spans of items anywhere in a row that share no item, with lengths of Poisson's law.

    Lengths are drawn until they cover `rate` of the items, the last one cut to fit, so that the
    mean length in a row that holds few spans is somewhat below `mean`; then all arrangements of the
    spans among the other items are alike. Spans may be empty where `shortest`
    is 0 (BART's insertions), and may touch.

    Args:
        item: of each token, which item it belongs to, ascending from 0; -1 before the first.
        candidates: tokens that may be covered.
        rate: share of the items to cover.
        rng: the only source of randomness.
        mean: of Poisson's law.
        shortest: shorter lengths are not drawn.
    """
    num_rows = len(item)
    num_items = item.masked_fill(~candidates, -1).amax(1) + 1
    num_noise = (num_items * rate).round().long()
    longest = max(1, int(num_noise.max()))
    spare = 8 if shortest or mean >= 2 else longest + 32  # some may be empty
    uniform = torch.rand(num_rows, longest + spare, generator=rng)
    length = shortest + torch.searchsorted(_poisson(mean, shortest), uniform)
    before = length.cumsum(1) - length
    used = before < num_noise[:, None]
    length = torch.where(used, length.minimum(num_noise[:, None] - before), 0)
    total = used.sum(1)
    slots = torch.arange(max(1, int((num_items - num_noise + total).max())))
    free = slots < (num_items - num_noise + total)[:, None]
    is_span = first_by(torch.rand(num_rows, len(slots), generator=rng), free, total)
    number = is_span.cumsum(1)
    size = torch.where(is_span, length.gather(1, (number - 1).clamp(min=0)), free.long())
    slot = torch.searchsorted(size.cumsum(1), item.clamp(min=0), right=True)
    slot = slot.clamp(max=len(slots) - 1)
    inside = item >= 0
    covered = candidates & inside & is_span.gather(1, slot)
    number = torch.where(inside, number.gather(1, slot), 0)
    # What is not a candidate ends a span: what continues after it is one more.
    last = number.where(covered, -1).cummax(1).values
    again = torch.zeros_like(covered)
    again[:, 1:] = covered[:, 1:] & ~covered[:, :-1] & (number[:, 1:] == last[:, :-1])
    return Spans(covered=covered, number=number + again.cumsum(1), total=total + again.sum(1))


@cache
def _poisson(mean: float, shortest: int) -> Float[Tensor, " N"]:
    """Return the cumulated probabilities of `shortest`, `shortest` + 1, ... of Poisson's law."""
    longest = shortest + ceil(mean + 9 * sqrt(mean)) + 20  # less than 1e-15 lies beyond
    law = torch.tensor(
        [exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(shortest, longest + 1)],
        dtype=torch.float64,
    )
    return (law / law.sum()).cumsum(0).float()


def n_grams(
    candidates: Bool[Tensor, "B T"],
    word: Int[Tensor, "B T"],
    num: Int[Tensor, " B"],
    rng: torch.Generator,
    *,
    longest: int,
) -> Bool[Tensor, "B T"]:
    """Choose `num` candidates of each row, in runs of 1 to `longest` words, p(n) like 1/n.

    XLNet's law (Yang et al. 2019, section 3.4). Each row is cut into runs, which are taken in
    random order; the last one is cut to fit.
    """
    law = 1 / torch.arange(1, min(longest, word.shape[1]) + 1)
    if longest > len(law):  # all lengths of a row and more are one
        ends = torch.tensor([len(law), longest + 1], dtype=torch.float64)
        law[-1] = torch.special.digamma(ends).diff().float()  # the sum of 1/n from one to the other
    uniform = torch.rand(word.shape, generator=rng)
    length = 1 + torch.searchsorted((law / law.sum()).cumsum(0), uniform).clamp(max=len(law) - 1)
    run = torch.searchsorted(length.cumsum(1), word.contiguous(), right=True)
    keys = torch.rand(word.shape, generator=rng).gather(1, run.clamp(max=word.shape[1] - 1))
    return first_by(keys, candidates, num)
