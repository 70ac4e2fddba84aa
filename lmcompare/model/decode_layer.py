"""Layers as they read a few positions at a time, after others that they have read.

They compute what `layer.Layer` does in fewer and cheaper operations, as with one token at a time
these cost more than the arithmetic: gains of norms and the scale of the scores are multiplied into
the matrix that follows them, the dimensions that a rotation turns together stand side by side, as a
complex number, and a processor multiplies few rows by a kernel made for bags of embeddings.
"""

from dataclasses import dataclass
from functools import cache
from math import gcd

import torch
from jaxtyping import Bool, Complex64, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from lmcompare.model.attention_mask import EncodedSource, angles, bias_of
from lmcompare.model.config import ModelConfig
from lmcompare.model.layer import CrossAttention, Layer, Norm, only
from lmcompare.view import View

MANY = 16  # rows that a processor multiplies faster as a matrix
LARGE = 2**19  # bytes of a matrix that pay for sharing one row's product out among threads
SHARES = 4  # among which it is shared out at most, as all of them have to be added up


@dataclass(frozen=True, kw_only=True)
class DecodePosition:
    """Say where new positions stand and whom they see; made once for all layers."""

    known: int  # positions that were read before
    num_keys: int  # as many of the new ones, from the first, are keys after those
    rotation: Complex64[Tensor, "#B T 1 1 K2"]  # by which queries and keys are multiplied
    causal: bool
    bias: (
        Float[Tensor, "B 1 T S"] | None
    )  # as in `AttentionMask`; S counts what was read before too
    sees_nothing: Bool[Tensor, "B T 1"] | None

    @staticmethod
    def of(
        view: View,
        config: ModelConfig,
        dtype: torch.dtype,
        *,
        known: int,
        sees: Bool[Tensor, "B T S"] | None,
    ) -> "DecodePosition":
        """Return the position of `view` after what is `known`.

        Where `sees` does not say who sees whom, the view's hint does, and everybody sees all that
        is known.
        """
        angle = angles(view, config).unsqueeze(2).unsqueeze(2)
        bias, sees_nothing = (None, None) if sees is None else bias_of(sees, dtype)
        return DecodePosition(
            known=known,
            num_keys=view.num_keys,
            rotation=torch.polar(angle.new_ones(()), angle),
            causal=known == 0 and sees is None and view.hint == "causal",
            bias=bias,
            sees_nothing=sees_nothing,
        )


class DecodeNorm:
    """A norm without its gain and without the root of the width, which the next matrix has."""

    def __init__(self, norm: Norm):
        width = len(norm.weight)
        self.gain = norm.weight.float() * width**0.5
        self._least = torch.tensor((norm.epsilon * width) ** 0.5, device=self.gain.device)

    def __call__(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Return `x` over its length."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        normed: Tensor = x / length.hypot_(self._least)
        return normed.to(x.dtype)


class DecodeLayer:
    """One layer, and its keys and values of what was read."""

    def __init__(
        self, layer: Layer, key_value: Float[Tensor, "2 B H C K"], source: EncodedSource | None
    ):
        attention, feed_forward = layer.attention, layer.feed_forward
        self._attention_norm = DecodeNorm(layer.attention_norm)
        self._feed_forward_norm = DecodeNorm(layer.feed_forward_norm)
        weight = attention.query_key_value.weight
        self._query_key_value = DecodeMatrix(
            _interleaved(weight, attention.heads), self._attention_norm.gain, dtype=weight.dtype
        )
        self._attention_output = DecodeMatrix(attention.output.weight)
        self._gate_value = DecodeMatrix(
            feed_forward.gate_value.weight, self._feed_forward_norm.gain
        )
        self._output = DecodeMatrix(feed_forward.output.weight)
        self._key_value = key_value
        self._key, self._value = key_value
        self._one = _Parts(key_value, 1)
        self._cross = None
        if layer.cross is not None and layer.cross_norm is not None and source is not None:
            norm = DecodeNorm(layer.cross_norm)
            self._cross = _DecodeCross(layer.cross, norm, source, key_value.dtype)

    def __call__(
        self, x: Float[Tensor, "N D"], position: DecodePosition, wanted: Int[Tensor, " M"] | None
    ) -> Float[Tensor, "*M D"]:
        """Return the states of new positions, those of all rows one under the other.

        Args:
            x: what came in.
            position: where they stand.
            wanted: of which positions, counted over all rows; None for all.
        """
        mixed = self._mixed(self._attention_norm(x), position)
        if self._cross is not None:
            x = self._attention_output(mixed, x)
            x = self._cross(x, len(self._key), wanted)
        else:
            x = self._attention_output(only(mixed, wanted), only(x, wanted))
        gate, value = self._gate_value(self._feed_forward_norm(x)).chunk(2, dim=-1)
        return self._output(torch.nn.functional.silu(gate).mul_(value), x)

    def _mixed(self, x: Float[Tensor, "N D"], position: DecodePosition) -> Float[Tensor, "N D"]:
        length = len(x) // len(self._key)
        parts = self._one if length == 1 else _Parts(self._key_value, length)
        parts.all.copy_(self._query_key_value(x))
        parts.turned.mul_(position.rotation)
        key_value, num_keys = parts.key_value, position.num_keys
        if num_keys < length:
            key_value = key_value.narrow(3, 0, num_keys)
        self._key_value.narrow(3, position.known, num_keys).copy_(key_value)
        mixed = scaled_dot_product_attention(
            parts.query.to(self._key.dtype),
            self._key.narrow(2, 0, position.known + num_keys),
            self._value.narrow(2, 0, position.known + num_keys),
            attn_mask=position.bias,
            is_causal=position.causal,
            scale=1.0,
        )
        return _joined(mixed, position.sees_nothing, x.dtype)


class _Parts:
    """Room for queries, keys and values of `length` new positions, and the ways to look at it."""

    def __init__(self, key_value: Float[Tensor, "2 B H C K"], length: int):
        _, batch, heads, _, width = key_value.shape
        self.all = torch.empty(batch * length, 3 * heads * width, device=key_value.device)
        pairs = torch.view_as_complex(self.all.view(batch, length, 3, heads, width // 2, 2))
        self.turned = pairs.narrow(2, 0, 2)  # B T 2 H K2
        parts = self.all.view(batch, length, 3, heads, width).permute(2, 0, 3, 1, 4)
        self.query, self.key_value = parts[0], parts[1:]  # B H T K, 2 B H T K


class _DecodeCross:
    """What a layer makes of the source, whose keys and values it knows."""

    def __init__(
        self, cross: CrossAttention, norm: DecodeNorm, source: EncodedSource, dtype: torch.dtype
    ):
        self._norm, self._source = norm, source
        batch, length, width = source.states.shape
        scale = (width // cross.heads) ** -0.5
        self._query = DecodeMatrix(cross.query.weight, norm.gain * scale)
        self._output = DecodeMatrix(cross.output.weight)
        key_value = cross.key_value(source.states.to(cross.key_value.weight.dtype)).to(dtype)
        key_value = key_value.view(batch, length, 2, cross.heads, -1).permute(2, 0, 3, 1, 4)
        self._key, self._value = key_value.contiguous()  # B H S K
        self._mask = None if source.bias is None else source.bias.to(dtype)

    def __call__(
        self, x: Float[Tensor, "N D"], batch: int, wanted: Int[Tensor, " M"] | None
    ) -> Float[Tensor, "*M D"]:
        heads, width = self._key.shape[1], self._key.shape[3]
        query = self._query(self._norm(x)).to(self._key.dtype)
        query = query.view(batch, -1, heads, width).transpose(1, 2)
        mixed = scaled_dot_product_attention(
            query, self._key, self._value, attn_mask=self._mask, scale=1.0
        )
        joined = _joined(mixed, self._source.sees_nothing, x.dtype)
        return self._output(only(joined, wanted), only(x, wanted))


class DecodeHead:
    """The last norm and the output head."""

    def __init__(self, norm: Norm, embedding: Float[Tensor, "V D"]):
        self._norm = DecodeNorm(norm)
        self._head = DecodeMatrix(embedding, self._norm.gain)

    def __call__(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Return what each state predicts, unnormalised."""
        return self._head(self._norm(x))

    def states(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Return the normalised states themselves."""
        states: Tensor = self._norm(x) * self._norm.gain
        return states.to(x.dtype)


class DecodeMatrix:
    """A linear map whose inputs are scaled by `gain`, in `dtype`, by default the weight's.

    A row's product is a sum of the matrix's rows, each as often as its input says, and so what
    `torch.embedding_bag` computes, which is up to three times as fast as `torch.mm` while rows are
    few. It has a thread for each bag: a row that is alone is shared out as several bags of its
    inputs, and what they hold is added up.
    """

    def __init__(
        self,
        weight: Float[Tensor, "O I"],
        gain: Float[Tensor, " I"] | None = None,
        *,
        dtype: torch.dtype | None = None,
    ):
        dtype = dtype or weight.dtype
        scale = torch.ones(1, device=weight.device) if gain is None else gain[:, None]
        self._matrix = weight.new_empty(weight.T.shape, dtype=dtype)  # I O
        torch.mul(weight.T, scale, out=self._matrix)  # laid out anew by all threads at once
        self._few = range(0)  # how many rows are bags
        if weight.device.type == "cpu" and _has_bags():
            large = self._matrix.nbytes > LARGE
            threads = min(torch.get_num_threads(), SHARES)
            self._shares = gcd(threads, len(self._matrix)) if large else 1
            self._few = range(1 if large or dtype != torch.float32 else 2, MANY)

    def __call__(
        self, x: Float[Tensor, "N I"], base: Float[Tensor, "N O"] | None = None
    ) -> Float[Tensor, "N O"]:
        """Return what becomes of `x`, added to `base`."""
        num_rows, num_inputs = x.shape
        if num_rows not in self._few:
            return torch.mm(x, self._matrix) if base is None else torch.addmm(base, x, self._matrix)
        shares = self._shares if num_rows == 1 else 1
        index, start = _bags(num_rows, num_inputs, shares)
        product: Tensor
        product, *_ = torch.embedding_bag(
            self._matrix, index, start, mode=0, per_sample_weights=x.reshape(-1)
        )
        if shares > 1:
            product = product.sum(0, keepdim=True)
        return product if base is None else product.add_(base)


@cache
def _has_bags() -> bool:
    """Say whether this processor is of those that the kernel is made for."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX")


@cache
def _bags(
    num_rows: int, num_inputs: int, shares: int
) -> tuple[Int[Tensor, " E"], Int[Tensor, " B"]]:
    """Return the inputs in each bag, and where each bag starts."""
    index = torch.arange(num_inputs, dtype=torch.int32).repeat(num_rows)
    return index, torch.arange(0, len(index), num_inputs // shares, dtype=torch.int32)


def _interleaved(weight: Float[Tensor, "O I"], heads: int) -> Float[Tensor, "O I"]:
    """Put side by side what is turned together in queries and keys; scale queries; in float32."""
    parts = weight.float().view(3, heads, 2, -1, weight.shape[1])  # of each head: left, right
    query, key, value = parts
    width = weight.shape[0] // 3 // heads
    turned = [each.transpose(1, 2).reshape(-1, weight.shape[1]) for each in (query, key)]
    return torch.cat([turned[0] * width**-0.5, turned[1], value.reshape(-1, weight.shape[1])])


def _joined(
    mixed: Float[Tensor, "B H T K"], sees_nothing: Bool[Tensor, "B T 1"] | None, dtype: torch.dtype
) -> Float[Tensor, "N D"]:
    """Join the heads, rows one under the other; 0 where a position sees nothing."""
    mixed = mixed.transpose(1, 2)  # B T H K
    if sees_nothing is not None:
        mixed = mixed.masked_fill(sees_nothing[..., None], 0)
    batch, length, heads, width = mixed.shape
    return mixed.reshape(batch * length, heads * width).to(dtype)
