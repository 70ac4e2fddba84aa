"""Rows of a causal view that begin alike: each prefix is computed once.

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
class PrefixSharing:
    """Say which positions are computed, and which of them stands for each position of a view.

    Attributes:
        same_as_above: whether a row is the one above it, up to and with this position.
        computed: the positions that are computed, counted over all rows.
        node: of each position: which of those has its states; behind the last target, any.
    """

    same_as_above: Bool[Tensor, "B T"]
    computed: Int[Tensor, " N"]
    node: Int[Tensor, "B T"]

    @staticmethod
    def of(view: View) -> "PrefixSharing | None":
        """Return what rows share with the row above them; None if there is too little to gain."""
        alone = view.source is None and view.within is None and view.hint == "causal"
        if not alone or (view.position != view.position[:1]).any():
            return None
        if (~view.visible & (view.target != IGNORE)).any():
            return None
        same_as_above = _same_as_above(view)
        new = _first(_needed(view), same_as_above)
        computed = new.flatten().nonzero()[:, 0]
        if not 0 < len(computed) <= WORTH_IT * new.numel():
            return None
        return PrefixSharing(same_as_above=same_as_above, computed=computed, node=_latest(new))

    def questions(self, view: View) -> tuple[Bool[Tensor, "B T"], Int[Tensor, "B T"]]:
        """Return which targets to score, and the number of that which stands for each target.

        The others have the target of the row above, after the same prefix.
        """
        same = self.same_as_above.clone()
        same[1:] &= view.target[1:] == view.target[:-1]
        new = (view.target != IGNORE) & ~same
        return new, _latest(new)

    def scatter(self, computed: Float[Tensor, "N ..."]) -> Float[Tensor, "B T ..."]:
        """Return what was computed, at each position that it stands for."""
        scattered = computed.index_select(0, self.node.flatten())
        return scattered.view(*self.node.shape, *computed.shape[1:])

    def gather(self, scattered: Float[Tensor, "B T D"]) -> Float[Tensor, "N D"]:
        """Return what stands at the positions that are computed."""
        return scattered.flatten(0, 1).index_select(0, self.computed)


def _same_as_above(view: View) -> Bool[Tensor, "B T"]:
    same = torch.zeros_like(view.visible)
    same[1:] = view.tokens[1:] == view.tokens[:-1]
    same[1:] &= view.visible[1:] == view.visible[:-1]
    return same.long().cumprod(1).bool()


def _needed(view: View) -> Bool[Tensor, "B T"]:
    """Say whether a target stands here or further on."""
    return (view.target != IGNORE).flip(1).cummax(1).values.flip(1)


def _first(needed: Bool[Tensor, "B T"], same_as_above: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """Choose, among adjacent rows that are the same up to here, the first that is needed."""
    above = needed.cumsum(0) - needed.long()  # how many are needed above
    return needed & (above == above.masked_fill(same_as_above, 0).cummax(0).values)


def _latest(chosen: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return the number, among all chosen ones, of the last at or above each position."""
    number = (chosen.flatten().cumsum(0) - 1).view(chosen.shape)
    return number.where(chosen, 0).cummax(0).values
