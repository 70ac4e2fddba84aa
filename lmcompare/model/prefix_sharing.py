"""Rows of a causal view that begin alike: each beginning is computed once.

What a position makes of a text depends on what stands at it and before it alone. So sentences of a
minimal pair, or the choices behind one context, share all up to where they part, as prompts share a
cache in SGLang's RadixAttention (Zheng et al. 2024). Only attention itself is done row by row. What
stands behind a row's last target says nothing about any, and is not computed.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.view import IGNORE, View

WORTH_IT = 0.9  # share of the positions that are computed, at most


@dataclass(frozen=True, kw_only=True)
class Beginnings:
    """Which positions are computed, and which of them stands for each position of a view.

    Attributes:
        as_above: whether a row is the one above it, up to and with this position.
        first: the positions that are computed, counted over all rows.
        node: of each position: which of those has its states; behind the last target, any.
    """

    as_above: Bool[Tensor, "B T"]
    first: Int[Tensor, " N"]
    node: Int[Tensor, "B T"]

    @staticmethod
    def of(view: View) -> "Beginnings | None":
        """Those of a row that begins as the row above it; None if there is too little to gain."""
        alone = view.source is None and view.within is None and view.hint == "causal"
        if not alone or (view.position != view.position[:1]).any():
            return None
        if (~view.visible & (view.target != IGNORE)).any():
            return None
        as_above = _as_above(view)
        new = _first(_needed(view), as_above)
        first = new.flatten().nonzero()[:, 0]
        if not 0 < len(first) <= WORTH_IT * new.numel():
            return None
        return Beginnings(as_above=as_above, first=first, node=_latest(new))

    def questions(self, view: View) -> tuple[Bool[Tensor, "B T"], Int[Tensor, "B T"]]:
        """Targets to score, and the number of the one that stands for each position with a target.

        The others have the target of the row above, behind the same beginning.
        """
        same = self.as_above.clone()
        same[1:] &= view.target[1:] == view.target[:-1]
        new = (view.target != IGNORE) & ~same
        return new, _latest(new)

    def spread(self, computed: Float[Tensor, "N ..."]) -> Float[Tensor, "B T ..."]:
        """What was computed, at each position that it stands for."""
        spread = computed.index_select(0, self.node.flatten())
        return spread.view(*self.node.shape, *computed.shape[1:])

    def collect(self, spread: Float[Tensor, "B T D"]) -> Float[Tensor, "N D"]:
        """Of each position what is to be computed on."""
        return spread.flatten(0, 1).index_select(0, self.first)


def _as_above(view: View) -> Bool[Tensor, "B T"]:
    same = torch.zeros_like(view.visible)
    same[1:] = view.tokens[1:] == view.tokens[:-1]
    same[1:] &= view.visible[1:] == view.visible[:-1]
    return same.long().cumprod(1).bool()


def _needed(view: View) -> Bool[Tensor, "B T"]:
    """Whether a target stands here or further on."""
    return (view.target != IGNORE).flip(1).cummax(1).values.flip(1)


def _first(needed: Bool[Tensor, "B T"], as_above: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """Of rows one above the other that are the same up to here, the first that is needed."""
    above = needed.cumsum(0) - needed.long()  # how many are needed above
    return needed & (above == above.masked_fill(as_above, 0).cummax(0).values)


def _latest(chosen: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """The number, among all chosen ones, of the last one that stands at or above each position."""
    number = (chosen.flatten().cumsum(0) - 1).view(chosen.shape)
    return number.where(chosen, 0).cummax(0).values
