"""What an objective is given (`Text`) and what it gives the backbone (`View`).

Attention is data. Each position carries an integer `order`, and position i may look at j iff
`order[j] <= order[i]`, j is visible, and both are in the same document where documents are kept
apart. Causal, bidirectional, prefix, permuted (both streams) and block-wise patterns are all values
of `order`; the backbone knows none of their names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

IGNORE = -100  # in `View.target`: nothing is predicted here
ROUND_NUMBER = 32  # of targets


@dataclass(frozen=True, kw_only=True)
class Text:
    """A batch of tokenised text as it was written: what every objective starts from.

    A row begins with the beginning-of-sequence token; padding, where there is any, stands at its
    end.
    """

    tokens: Int[Tensor, "B T"]
    visible: Bool[Tensor, "B T"]  # False: padding
    word: Int[Tensor, "B T"]  # which word of its row a token belongs to: 0, 1, ...
    # which document of its row a token belongs to; None: all see each other
    document: Int[Tensor, "B T"] | None = None

    def rows(self, index: Int[Tensor, " N"]) -> "Text":
        """Return some of the rows."""
        document = None if self.document is None else self.document[index]
        return Text(
            tokens=self.tokens[index],
            visible=self.visible[index],
            word=self.word[index],
            document=document,
        )


@dataclass(frozen=True, kw_only=True)
class View:
    """What the network reads, who sees whom, and what it must predict: the one contract.

    The loss of a view is the cross-entropy at its targets, times `weight`, summed. Whoever makes a
    view has therefore normalised it already: a plain mean is weight 1/n, n over all rows of a
    training step.
    """

    tokens: Int[Tensor, "B T"]  # ids fed in
    position: Int[Tensor, "B T"]  # in the text, for the rotary embedding
    order: Int[Tensor, "B T"]  # who sees whom
    visible: Bool[Tensor, "B T"]  # False: nobody may look here
    target: Int[Tensor, "B T"]  # id to predict here, or IGNORE
    weight: Float[Tensor, "B T"]  # its share of the loss
    within: Int[Tensor, "B T"] | None = None  # index in a span that shares one position
    document: Int[Tensor, "B T"] | None = None  # documents packed in one row do not see each other
    part: Int[Tensor, " B"] | None = None  # of a mixture of objectives: which one a row is for
    source: "View | None" = None  # what an encoder reads first, row by row

    @staticmethod
    def ordered(
        tokens: Int[Tensor, "B T"],
        order: Int[Tensor, "B T"],
        *,
        visible: Bool[Tensor, "B T"],
        document: Int[Tensor, "B T"] | None = None,
    ) -> "View":
        """Make a view without targets in which each position sees its own order and lower ones."""
        return View(
            tokens=tokens,
            position=torch.arange(tokens.shape[1]).expand_as(tokens),
            order=order,
            visible=visible,
            target=torch.full_like(tokens, IGNORE),
            weight=torch.zeros(tokens.shape),
            document=document,
        )

    @staticmethod
    def causal(
        tokens: Int[Tensor, "B T"],
        *,
        visible: Bool[Tensor, "B T"],
        document: Int[Tensor, "B T"] | None = None,
    ) -> "View":
        """Make a view without targets in which each position sees itself and what is before it."""
        order = torch.arange(tokens.shape[1]).expand_as(tokens)
        return View.ordered(tokens, order, visible=visible, document=document)

    @staticmethod
    def bidirectional(
        tokens: Int[Tensor, "B T"],
        *,
        visible: Bool[Tensor, "B T"],
        document: Int[Tensor, "B T"] | None = None,
    ) -> "View":
        """Make a view without targets in which each position sees every visible one."""
        order = torch.zeros_like(tokens)
        return View.ordered(tokens, order, visible=visible, document=document)

    @staticmethod
    def stack(parts: Mapping[int, "View"]) -> "View":
        """Join the rows of several views: the parts of a mixture, by number.

        Shorter rows are padded at their end. Weights stay what they were.

        Raises:
            ValueError: some views have a source and others have none.
        """
        views = list(parts.values())
        sources = {part: view.source for part, view in parts.items() if view.source is not None}
        if sources and len(sources) < len(views):
            raise ValueError("some of the views have a source and others have none")
        length = max(view.tokens.shape[1] for view in views)
        padded = [view.padded(length) for view in views]
        columns: dict[str, Any] = {}
        for name in _COLUMNS:
            given = [getattr(view, name) for view in padded]
            if any(column is not None for column in given):
                columns[name] = torch.cat(
                    [
                        torch.zeros_like(view.tokens) if column is None else column
                        for view, column in zip(padded, given, strict=True)
                    ]
                )
        sizes = torch.tensor([len(view.tokens) for view in views])
        return View(
            **columns,
            part=torch.tensor([*parts]).repeat_interleave(sizes),
            source=View.stack(sources) if sources else None,
        )

    def predicting(self, target: Int[Tensor, "B T"], weight: Float[Tensor, "B T"]) -> "View":
        """Return the same view with these targets and weights."""
        return replace(self, target=target, weight=weight)

    @property
    def num_targets(self) -> int:
        """Return the number of positions at which something is predicted."""
        return int((self.target != IGNORE).sum())

    @property
    def num_targets_of_parts(self) -> list[int] | None:
        """Return the same for each part, where it is a mixture."""
        if self.part is None:
            return None
        return torch.bincount(self.part, (self.target != IGNORE).sum(1)).long().tolist()

    @cached_property
    def targets(self) -> Int[Tensor, " N"]:
        """Return where something is predicted, over all rows; filled to a round number."""
        return self.filled_targets(ROUND_NUMBER)

    def filled_targets(self, multiple: int) -> Int[Tensor, " N"]:
        """Return the targets, filled up to a multiple with a position that predicts nothing."""
        predicted = (self.target != IGNORE).flatten()
        found, rest = predicted.nonzero()[:, 0], (~predicted).nonzero()[:1, 0]
        return torch.cat([found, rest.expand(-len(found) % multiple if len(rest) else 0)])

    @cached_property
    def num_keys(self) -> int:
        """Return the number of positions up to the last that any may look at."""
        if self.tokens.shape[1] == 1:
            return 1
        seen = self.visible.any(0).nonzero()
        return int(seen.max()) + 1 if len(seen) else 1

    @cached_property
    def hint(self) -> Literal["causal", "full"] | None:
        """Return the pattern, if it is one of those that attention has a faster kernel for."""
        if self.document is not None:
            return None
        if bool((self.order[:, 1:] > self.order[:, :-1]).all()):
            # Padding at the end of a row stands where no token before it can look.
            return "causal" if bool((self.visible[:, :-1] >= self.visible[:, 1:]).all()) else None
        alike = bool((self.order == self.order[:, :1]).all())
        return "full" if alike and bool(self.visible[:, : self.num_keys].all()) else None

    def sees(self) -> Bool[Tensor, "B T T"]:
        """Return the rule itself: [b, i, j] is whether position i may look at position j."""
        return sees(self.order, self.order, self.visible, self.document, self.document)

    def sees_source(self) -> Bool[Tensor, "B T S"]:
        """Return whether i may look at position j of the source: at all of its own document."""
        assert self.source is not None
        lowest, source = torch.zeros_like(self.order), self.source
        return sees(
            lowest, torch.zeros_like(source.order), source.visible, self.document, source.document
        )

    def rows(self, index: slice | Tensor) -> "View":
        """Return some of the rows with their weights, without columns that all of them pad."""
        chosen = self._each(lambda tensor: tensor[index])
        if self.source is not None:
            chosen = replace(chosen, source=self.source.rows(index))
        used = (chosen.visible | (chosen.target != IGNORE)).any(0).nonzero()
        length = int(used.max()) + 1 if len(used) else 1
        return chosen if length == self.tokens.shape[1] else chosen.columns(slice(length))

    def columns(self, index: slice) -> "View":
        """Return some of the positions of each row."""
        given = {name: getattr(self, name) for name in _COLUMNS}
        columns: dict[str, Any] = {
            name: each[:, index] for name, each in given.items() if each is not None
        }
        return replace(self, **columns)

    def split(self, num_rows: int) -> Iterator["View"]:
        """Yield the view in pieces of at most `num_rows` rows; their losses add up to the whole's.

        The parts of a mixture share no piece where that gives some of them a faster kernel.
        """
        parts = self._parts()
        if self.hint is not None or all(part.hint is None for part in parts):
            parts = [self]
        for part in parts:
            for start in range(0, len(part.tokens), num_rows):
                yield part.rows(slice(start, start + num_rows))

    def _parts(self) -> list["View"]:
        if self.part is None:
            return [self]
        bounds = [0, *((self.part[1:] != self.part[:-1]).nonzero().flatten() + 1).tolist(), None]
        return [self.rows(slice(start, stop)) for start, stop in pairwise(bounds)]

    def to(self, device: torch.device) -> "View":
        """Return the view on `device`."""
        if device == self.tokens.device:
            return self
        return self.copied(lambda tensor: tensor.to(device, non_blocking=True))

    def copied(self, copy: Callable[[Tensor], Tensor]) -> "View":
        """Return the view with a copy of each tensor.

        What is known of it is known of the copy too: to find it out, a GPU would be waited for.
        """
        view = self._each(copy)
        if self.source is not None:
            view = replace(view, source=self.source.copied(copy))
        view.__dict__.update(hint=self.hint, num_keys=self.num_keys)
        if "targets" in self.__dict__:
            view.__dict__["targets"] = copy(self.targets)
        return view

    def _each(self, change: Callable[[Tensor], Tensor]) -> "View":
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {
            name: change(value) for name, value in given.items() if isinstance(value, Tensor)
        }
        return replace(self, **changed)

    def padded(self, length: int) -> "View":
        """Add columns that nobody may look at, and that see what the last one sees."""
        size = self.tokens.shape[1]
        if size == length:
            return self
        last = {name: getattr(self, name) for name in _COLUMNS}
        columns: dict[str, Any] = {
            name: torch.cat([column, column[:, -1:].expand(-1, length - size)], dim=1)
            for name, column in last.items()
            if column is not None
        }
        columns["visible"][:, size:] = False
        columns["target"][:, size:] = IGNORE
        columns["weight"][:, size:] = 0
        return replace(self, **columns)


_COLUMNS = [
    *("tokens", "position", "order", "visible", "target", "weight"),
    *("within", "document"),
]


def sees(
    order: Int[Tensor, "B Q"],
    key_order: Int[Tensor, "B K"],
    key_visible: Bool[Tensor, "B K"],
    document: Int[Tensor, "B Q"] | None = None,
    key_document: Int[Tensor, "B K"] | None = None,
) -> Bool[Tensor, "B Q K"]:
    """Return who may look at whom; keys may be other positions than queries, as in a cache."""
    allowed = (key_order[:, None, :] <= order[:, :, None]) & key_visible[:, None, :]
    if document is not None and key_document is not None:
        allowed &= document[:, :, None] == key_document[:, None, :]
    return allowed
