"""What is read first and what comes then, token by token: some given, others to be written."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcompare.objectives.corruption.noise import NOWHERE
from lmcompare.objectives.decoding.fill_request import FillRequest
from lmcompare.view import View

# in `Script.then`: one token is written here; any number of them are; nothing follows
WRITE, FREE, STOP = -1, -2, -3


@dataclass(frozen=True, kw_only=True)
class Script:
    """What each row reads, and what comes then.

    Attributes:
        start: is read at once.
        last: of each row, the column of `start` that predicts what comes then.
        then: ids that are given, WRITE, FREE; at last STOP.
        place: of each entry of `then`, the place in the text of what is written there.
        position: of each entry of `then`, where it stands.
        ends: ids that end what FREE stands for.
        limit: of each row, tokens of what is FREE at most.
    """

    start: View
    last: Int[Tensor, " B"]
    then: Int[Tensor, "B S"]
    place: Int[Tensor, "B S"]
    position: Int[Tensor, "B S"]
    ends: tuple[int, ...]
    limit: Int[Tensor, " B"]

    @staticmethod
    def of(
        view: View,
        place: Int[Tensor, "B S"],
        blanks: FillRequest,
        *,
        ends: tuple[int, ...] = (),
        more: Int[Tensor, " B"] | int = 0,
    ) -> "Script":
        """The script that fills the holes of a text.

        Args:
            view: the text as it is written, whatever stands in its holes.
            place: of each column, the place in the text of the token that it predicts, or NOWHERE;
                that token stands in the next column.
            blanks: the holes.
            ends: ids that end a hole of any length.
            more: tokens of each row that such a hole may have beyond the limit of `blanks`.
        """
        row = torch.arange(len(place))[:, None]
        writes = (place != NOWHERE) & blanks.holes[row, place.clamp(min=0)]
        width = place.shape[1]
        columns = torch.arange(width).expand_as(place)
        first = columns.where(writes, width).amin(1).clamp(max=width - 1)
        last = columns.where(writes, -1).amax(1)
        start = view.columns(slice(int(first.max()) + 1))
        shown = columns[:, : start.tokens.shape[1]] <= first[:, None]
        following = torch.cat([view.tokens[:, 1:], view.tokens[:, -1:]], dim=1)
        then = following.where(~writes, WRITE).where(columns <= last[:, None], STOP)
        kept = columns >= first[:, None]
        if blanks.any_length:
            then = then.where(~writes, FREE)
            kept[:, 1:] &= ~(writes[:, 1:] & writes[:, :-1])  # a run of tokens is one hole
        # what comes after the first column that writes, packed to the left; at last STOP
        index = columns.masked_fill(~kept, width).sort(1).values
        size = int(kept.sum(1).max())
        index = index[:, :size].clamp(max=width - 1)
        used = torch.arange(size) < kept.sum(1, keepdim=True)
        stop = torch.full_like(then[:, :1], STOP)
        stands = view.position[:, 1:]
        stands = torch.cat([stands, stands[:, -1:] + 1], dim=1)
        return Script(
            start=replace(start, visible=start.visible & shown),
            last=first,
            then=torch.cat([then.gather(1, index).where(used, STOP), stop], dim=1),
            place=torch.cat([place.gather(1, index), stop], dim=1),
            position=torch.cat([stands.gather(1, index), stop], dim=1),
            ends=ends,
            limit=torch.full_like(first, blanks.limit) + more,
        )

    def num_steps(self) -> int:
        """Passes at most."""
        each = (self.then >= WRITE).long() + (self.then == FREE).long() * self.limit[:, None]
        return int(each.sum(1).max())


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What comes next in each row."""

    token: Int[Tensor, " B"]
    writes: Bool[Tensor, " B"]  # whether it is written, and not given
    place: Int[Tensor, " B"]  # in the text, of what is written; NOWHERE
    position: Int[Tensor, " B"]

    def rows(self, index: Int[Tensor, " N"] | slice) -> "Turn":
        """What comes next in some of the rows."""
        return Turn(
            token=self.token[index],
            writes=self.writes[index],
            place=self.place[index],
            position=self.position[index],
        )


class Cursor:
    """Where each row stands in its script."""

    def __init__(self, script: Script, groups: Int[Tensor, " B"], is_end: Bool[Tensor, " V"]):
        then, place, self._position, self._limit = (
            each.to(groups.device)[groups]
            for each in (script.then, script.place, script.position, script.limit)
        )
        self.any_length = bool((script.then == FREE).any())
        self._then, self._is_end = then, is_end
        self._writes = (then == WRITE) | (then == FREE)
        self._given = then.clamp(min=0)
        self._place = place.where(self._writes, NOWHERE)
        self._step = 0
        self._rows = torch.arange(len(groups), device=groups.device)
        self._pointer = torch.zeros_like(self._rows)
        self._count = torch.zeros_like(self._rows)  # tokens written of what is FREE here

    @property
    def _here(self) -> tuple[Tensor | slice, Tensor | int]:
        """The entry at which each row stands; where every entry is one token, all at the same."""
        return (self._rows, self._pointer) if self.any_length else (slice(None), self._step)

    def writes(self) -> Bool[Tensor, " B"]:
        """Whether a token is to be chosen."""
        return self._writes[self._here]

    def over(self) -> bool:
        """Whether nothing follows in any row."""
        if not self.any_length:
            return self._step + 1 == self._then.shape[1]
        return bool((self._then[self._here] == STOP).all())

    def move(self, chosen: Int[Tensor, " B"]) -> Turn:
        """Take what was chosen where it is to be written, and go on."""
        if self.any_length:
            ended = (self._then[self._here] == FREE) & self._is_end[chosen]
            self._pointer = self._pointer + ended
        here = self._here
        writes = self._writes[here]
        turn = Turn(
            token=torch.where(writes, chosen, self._given[here]),
            writes=writes,
            place=self._place[here],
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
        return turn

    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Each row goes on from where another one of its text stands."""
        self._pointer, self._count = self._pointer[rows], self._count[rows]
