"""What goes through a model of Hugging Face at once: rows of about one length, prefixes once.

Rows that begin alike, as the sentences of a minimal pair do, are put into one: what they share
stands there once, and each position sees its own row alone, by a table of who sees whom. On
average less is padded too, as pieces hold rows of about one length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from lmcompare.huggingface.framing import Framed
from lmcompare.view import IGNORE, View

WORTH_IT = 0.9  # share of the positions that are computed, at most
SHARED = 2  # tokens that rows must begin with alike: all begin with the start token
JOINED = 8  # rows in one at most: its table grows with the square of their number

RowsAtOnce = Callable[[int], int]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Rows of a view, put into fewer that hold what begins alike once.

    Attributes:
        framed: these fewer rows.
        row: of each target, its row in the view.
        column: its column there.
        group: of each target, the row of `framed` in which it is.
        node: its column there.
    """

    framed: Framed
    row: Int[Tensor, " N"]
    column: Int[Tensor, " N"]
    group: Int[Tensor, " N"]
    node: Int[Tensor, " N"]


@dataclass(frozen=True)
class _Group:
    """Adjacent rows that begin alike: each with the tokens it shares with the one before it."""

    rows: tuple[int, ...]
    shared: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return how many positions are computed."""
        return sum(self.lengths) - sum(self.shared)


def sorted_pieces(view: View, rows_at_once: RowsAtOnce) -> Iterator[tuple[Int[Tensor, " N"], View]]:
    """Yield pieces of a view with the numbers of their rows, the longest first.

    Args:
        view: on the CPU.
        rows_at_once: how many rows of a length go through at once.
    """
    length = view.visible.sum(1)
    if view.source is not None:
        length = length + view.source.visible.sum(1)
    order, start = length.argsort(descending=True, stable=True), 0
    while start < len(order):
        rows = order[start : start + rows_at_once(max(1, int(length[order[start]])))]
        yield rows, view.rows(rows)
        start += len(rows)


def shared_pieces(view: View, rows_at_once: RowsAtOnce) -> list[Shared] | None:
    """Return a causal view as rows that hold what begins alike once; None if little is shared.

    Args:
        view: on the CPU, of a model that reads from left to right.
        rows_at_once: how many rows of a length go through at once.
    """
    groups = _groups(view)
    if sum(group.size for group in groups) > WORTH_IT * int(view.visible.sum()):
        return None
    groups.sort(key=lambda group: -group.size)
    pieces, start = [], 0
    while start < len(groups):
        stop = start + rows_at_once(max(1, groups[start].size))
        pieces.append(_joined(view, groups[start:stop]))
        start = stop
    return pieces


def _groups(view: View) -> list[_Group]:
    """Return the rows that are asked about, those that begin alike together."""
    asked = view.target != IGNORE
    index = torch.arange(asked.shape[1]) + 1
    lengths = (asked * index).amax(1).tolist()  # nothing after the last target is read
    same = torch.zeros_like(asked)
    same[1:] = (view.tokens[1:] == view.tokens[:-1]) & view.visible[1:] & view.visible[:-1]
    shared = same.long().cumprod(1).sum(1).tolist()
    groups: list[_Group] = []
    rows: list[int] = []
    for row in [*range(len(lengths)), None]:
        begins = row is None or not rows or shared[row] < SHARED or len(rows) == JOINED
        if begins and rows:
            kept = [0, *(min(shared[each], lengths[each]) for each in rows[1:])]
            groups.append(_Group(tuple(rows), tuple(kept), tuple(lengths[each] for each in rows)))
            rows = []
        if row is not None:
            rows.append(row)
    return groups


def _joined(view: View, groups: list[_Group]) -> Shared:
    """Return groups of rows, each as one row."""
    width = max(1, max(group.size for group in groups))
    tokens = torch.zeros(len(groups), width, dtype=torch.long)
    position, mask = torch.zeros_like(tokens), torch.zeros(len(groups), width, dtype=torch.bool)
    sees = torch.zeros(len(groups), width, width, dtype=torch.bool)
    found: list[tuple[Tensor, ...]] = []
    for number, group in enumerate(groups):
        nodes, used = torch.zeros(0, dtype=torch.long), 0
        for row, shared, length in zip(group.rows, group.shared, group.lengths, strict=True):
            # a row above may have been read less far than both are alike
            shared = min(shared, len(nodes))
            new = torch.arange(used, used + length - shared)
            nodes = torch.cat([nodes[:shared], new])
            tokens[number, new] = view.tokens[row, shared:length]
            position[number, new] = torch.arange(shared, length)
            before = torch.arange(length) <= torch.arange(shared, length)[:, None]
            sees[number, new[:, None], nodes] = before
            used += len(new)
            column = (view.target[row] != IGNORE).nonzero()[:, 0]
            found.append(
                (
                    torch.full_like(column, row),
                    column,
                    torch.full_like(column, number),
                    nodes[column],
                )
            )
        mask[number, :used] = True
    rows, columns, group_of, node = (torch.cat(each) for each in zip(*found, strict=True))
    index = torch.arange(width).expand_as(tokens)
    return Shared(
        framed=Framed(tokens=tokens, mask=mask, place=index, sees=sees, position=position),
        row=rows,
        column=columns,
        group=group_of,
        node=node,
    )
