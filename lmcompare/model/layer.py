"""A layer and its parts, each a module: attention, to a source as well, and feed-forward."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from lmcompare.model.attention import attend, attend_to_source
from lmcompare.model.attention_mask import AttentionMask, EncodedSource
from lmcompare.model.config import ModelConfig
from lmcompare.model.kernels import rms_norm, swiglu


class LayerPart(nn.Module):
    """A part of a layer. Called directly: hooks are for layers, and cost more than a small part."""

    def __call__(self, *inputs: Any) -> Any:
        """Call the part's `forward`."""
        return self.forward(*inputs)


class Norm(LayerPart):
    """Root-mean-square normalisation with a gain (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, *, epsilon: float):
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return rms_norm(x, self.weight, self.epsilon)


class Matrix(LayerPart):
    """A linear map without bias."""

    def __init__(self, width_in: int, width_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in))

    def forward(self, x: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        return linear(x, self.weight)


class Attention(LayerPart):
    """Multi-head attention; queries, keys and values come out of one matrix, in this order."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads = config.heads
        self.query_key_value = Matrix(config.width, 3 * config.width)
        self.output = Matrix(config.width, config.width)

    def forward(
        self,
        x: Float[Tensor, "*P D"],
        mask: AttentionMask,
        wanted: Int[Tensor, " N"] | None,
    ) -> Float[Tensor, "*N D"]:
        mixed = attend(self.query_key_value(x), self.heads, mask)
        out: Tensor = self.output(only(mixed, wanted))
        return out


class CrossAttention(LayerPart):
    """Multi-head attention to the source; keys and values come out of one matrix, in this order."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads = config.heads
        self.query = Matrix(config.width, config.width)
        self.key_value = Matrix(config.width, 2 * config.width)
        self.output = Matrix(config.width, config.width)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        source: EncodedSource,
        wanted: Int[Tensor, " N"] | None,
    ) -> Float[Tensor, "*N D"]:
        key_value = self.key_value(source.states)
        mixed = attend_to_source(self.query(x), key_value, self.heads, source)
        out: Tensor = self.output(only(mixed, wanted))
        return out


class FeedForward(LayerPart):
    """SwiGLU (Shazeer 2020); gate and value come out of one matrix, in this order."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_value = Matrix(config.width, 2 * config.ffn)
        self.output = Matrix(config.ffn, config.width)

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        out: Tensor = self.output(swiglu(self.gate_value(x)))
        return out


class Layer(nn.Module):
    """Attention, then feed-forward, each normalised before and added to what came in.

    A layer that `crosses` attends to the source between the two. Attention needs all positions;
    what follows the last one is done for the `wanted` ones only, counted over all rows. Positions
    come as B T D, or as N D where rows share their beginnings.
    """

    def __init__(self, config: ModelConfig, *, crosses: bool):
        super().__init__()
        self.attention_norm = Norm(config.width, epsilon=config.norm_epsilon)
        self.attention = Attention(config)
        self.cross_norm = Norm(config.width, epsilon=config.norm_epsilon) if crosses else None
        self.cross = CrossAttention(config) if crosses else None
        self.feed_forward_norm = Norm(config.width, epsilon=config.norm_epsilon)
        self.feed_forward = FeedForward(config)

    def forward(
        self,
        x: Float[Tensor, "*P D"],
        mask: AttentionMask,
        source: EncodedSource | None = None,
        wanted: Int[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "*N D"]:
        if self.cross is None or self.cross_norm is None or source is None:
            x = only(x, wanted) + self.attention(self.attention_norm(x), mask, wanted)
        else:
            x = x + self.attention(self.attention_norm(x), mask, None)
            x = only(x, wanted) + self.cross(self.cross_norm(x), source, wanted)
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x


def numbers_of(chosen: Bool[Tensor, "B T"]) -> Int[Tensor, " N"]:
    """Return the numbers of the chosen positions, counted over all rows."""
    return chosen.flatten().nonzero()[:, 0]


def only(x: Float[Tensor, "*P D"], wanted: Int[Tensor, " N"] | None) -> Float[Tensor, "*N D"]:
    """Return the wanted positions, N D; all of them where none are named."""
    return x if wanted is None else x.flatten(0, -2).index_select(0, wanted)
