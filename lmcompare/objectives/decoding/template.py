"""What is read first and what comes then, token by token: some given, others to be written."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NO_INDEX
from lmcompare.objectives.decoding.fill_request import FillRequest
from lmcompare.view import View

# in `DecodeTemplate.then`: one token is written here; any number of them are; nothing follows
WRITE, FREE, STOP = -1, -2, -3


@dataclass(frozen=True, kw_only=True)
class DecodeTemplate:
    """What each row reads, and what comes then.

    Attributes:
        start: is read at once.
        last: of each row, the column of `start` that predicts what comes then.
        then: ids that are given, WRITE, FREE; at last STOP.
        index: of each entry of `then`, the index in the text of what is written there.
        position: of each entry of `then`, where it stands.
        ends: ids that end what FREE stands for.
        limit: of each row, tokens of what is FREE at most.
    """

    start: View
    last: Int[Tensor, " B"]
    then: Int[Tensor, "B S"]
    index: Int[Tensor, "B S"]
    position: Int[Tensor, "B S"]
    ends: tuple[int, ...]
    limit: Int[Tensor, " B"]

    @staticmethod
    def of(
        view: View,
        index: Int[Tensor, "B S"],
        request: FillRequest,
        *,
        ends: tuple[int, ...] = (),
        more: Int[Tensor, " B"] | int = 0,
    ) -> "DecodeTemplate":
        """Return the template that fills the holes of a text.

        Args:
            view: the text as it is written, whatever stands in its holes.
            index: of each column, the index in the text of the token that it predicts, or NO_INDEX;
                that token stands in the next column.
            request: the holes.
            ends: ids that end a hole of any length.
            more: tokens of each row that such a hole may have beyond the limit of `request`.
        """
        row = torch.arange(len(index))[:, None]
        writes = (index != NO_INDEX) & request.holes[row, index.clamp(min=0)]
        width = index.shape[1]
        columns = torch.arange(width).expand_as(index)
        first = columns.where(writes, width).amin(1).clamp(max=width - 1)
        last = columns.where(writes, -1).amax(1)
        start = view.columns(slice(int(first.max()) + 1))
        shown = columns[:, : start.tokens.shape[1]] <= first[:, None]
        following = torch.cat([view.tokens[:, 1:], view.tokens[:, -1:]], dim=1)
        then = following.where(~writes, WRITE).where(columns <= last[:, None], STOP)
        kept = columns >= first[:, None]
        if request.any_length:
            then = then.where(~writes, FREE)
            kept[:, 1:] &= ~(writes[:, 1:] & writes[:, :-1])  # a run of tokens is one hole
        # what comes after the first column that writes, packed to the left; at last STOP
        chosen = columns.masked_fill(~kept, width).sort(1).values
        size = int(kept.sum(1).max())
        chosen = chosen[:, :size].clamp(max=width - 1)
        used = torch.arange(size) < kept.sum(1, keepdim=True)
        stop = torch.full_like(then[:, :1], STOP)
        stands = view.position[:, 1:]
        stands = torch.cat([stands, stands[:, -1:] + 1], dim=1)
        return DecodeTemplate(
            start=replace(start, visible=start.visible & shown),
            last=first,
            then=torch.cat([then.gather(1, chosen).where(used, STOP), stop], dim=1),
            index=torch.cat([index.gather(1, chosen), stop], dim=1),
            position=torch.cat([stands.gather(1, chosen), stop], dim=1),
            ends=ends,
            limit=torch.full_like(first, request.limit) + more,
        )

    def num_steps(self) -> int:
        """Return how many passes it takes at most."""
        each = (self.then >= WRITE).long() + (self.then == FREE).long() * self.limit[:, None]
        return int(each.sum(1).max())


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """What comes next in each row."""

    token: Int[Tensor, " B"]
    writes: Bool[Tensor, " B"]  # whether it is written, and not given
    index: Int[Tensor, " B"]  # in the text, of what is written; NO_INDEX
    position: Int[Tensor, " B"]

    def rows(self, chosen: Int[Tensor, " N"] | slice) -> "NextToken":
        """Return what comes next in some of the rows."""
        return NextToken(
            token=self.token[chosen],
            writes=self.writes[chosen],
            index=self.index[chosen],
            position=self.position[chosen],
        )


class DecodeState:
    """How far each row has come in its template."""

    def __init__(
        self, template: DecodeTemplate, groups: Int[Tensor, " B"], is_end: Bool[Tensor, " V"]
    ):
        then, index, self._position, self._limit = (
            each.to(groups.device)[groups]
            for each in (template.then, template.index, template.position, template.limit)
        )
        self.any_length = bool((template.then == FREE).any())
        self._then, self._is_end = then, is_end
        self._writes = (then == WRITE) | (then == FREE)
        self._given = then.clamp(min=0)
        self._index = index.where(self._writes, NO_INDEX)
        self._step = 0
        self._rows = torch.arange(len(groups), device=groups.device)
        self._pointer = torch.zeros_like(self._rows)
        self._count = torch.zeros_like(self._rows)  # tokens written of what is FREE here

    @property
    def _here(self) -> tuple[Tensor | slice, Tensor | int]:
        """Return the entry at which each row is, the same for all if every entry is one token."""
        return (self._rows, self._pointer) if self.any_length else (slice(None), self._step)

    def writes(self) -> Bool[Tensor, " B"]:
        """Tell in which rows a token is to be chosen."""
        return self._writes[self._here]

    def over(self) -> bool:
        """Tell whether nothing follows in any row."""
        if not self.any_length:
            return self._step + 1 == self._then.shape[1]
        return bool((self._then[self._here] == STOP).all())

    def move(self, chosen: Int[Tensor, " B"]) -> NextToken:
        """Take what was chosen where it is to be written, and step forward."""
        if self.any_length:
            ended = (self._then[self._here] == FREE) & self._is_end[chosen]
            self._pointer = self._pointer + ended
        here = self._here
        writes = self._writes[here]
        next_token = NextToken(
            token=torch.where(writes, chosen, self._given[here]),
            writes=writes,
            index=self._index[here],
            position=self._position[here],
        )
        if not self.any_length:
            self._step += 1
        else:
            entry = self._then[here]
            self._count = torch.where(entry == FREE, self._count + 1, 0)
            full = self._count == self._limit
            self._count = self._count.where(~full, 0)
            self._pointer = self._pointer + ((entry >= 0) | (entry == WRITE) | full)
        return next_token

    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Continue each row from where another one of its text is."""
        self._pointer, self._count = self._pointer[rows], self._count[rows]
