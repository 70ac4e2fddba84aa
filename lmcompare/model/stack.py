"""Layers one on another, and what they are given of a view."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lmcompare.model.attention_mask import AttentionMask, EncodedSource
from lmcompare.model.layer import Layer, Norm
from lmcompare.view import View


@dataclass(frozen=True, kw_only=True)
class Stack:
    """An encoder or a decoder about to read a view.

    Attributes:
        view: what it reads.
        inputs: the embedded tokens.
        layers: from the first.
        norm: what follows the last.
        mask: who sees whom.
        encoder: what has read the source.
        source: its states, which a decoder attends to as well.
    """

    view: View
    inputs: Float[Tensor, "B T D"]
    layers: Sequence[Layer]
    norm: Norm
    mask: AttentionMask
    encoder: "Stack | None"
    source: EncodedSource | None

    def states(self, x: Float[Tensor, "B T D"] | None = None) -> Float[Tensor, "B T D"]:
        """Return the normalised states of the last layer, `x` or the inputs given to the first."""
        x = self.inputs if x is None else x
        for layer in self.layers:
            x = layer(x, self.mask, self.source)
        states: Tensor = self.norm(x)
        return states
