"""Rotary attention by the rule of `view.sees`, by whichever kernel does it fastest.

On processors FlexAttention has no backward pass; there, plain batched matrix products take half the
time of the fused kernel in bfloat16. A position that sees nothing gets zeros.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from lmcompare.model.attention_mask import AttentionMask, EncodedSource
from lmcompare.model.kernels import by_hand

SPAN = 128  # queries taken together where later keys are hidden, so that few products are in vain

# The forward kernel that PyTorch 2.11 takes by itself has too few registers for our masks: 32 rows
# of 1,152 positions take an H100 3.97 ms with it and 0.40 ms with this one.
FLEX: Any = {"fwd_BLOCK_M": 64, "fwd_BLOCK_N": 64, "fwd_num_warps": 4, "fwd_num_stages": 3}


def attend(
    query_key_value: Float[Tensor, "*N D3"], heads: int, mask: AttentionMask
) -> Float[Tensor, "*N D"]:
    """Return softmax attention of scale 1 / sqrt(K), queries and keys turned by position.

    Args:
        query_key_value: the three projections side by side, each H x K wide, B T D3; N D3 where
            rows share their beginnings. Written over where no gradient is asked for.
        heads: H.
        mask: who sees whom.
    """
    shared = mask.prefixes
    if pays_by_hand(query_key_value):
        rows = query_key_value if shared is None else shared.scatter(query_key_value)
        out: Tensor = _Attention.apply(rows, heads, mask)  # type: ignore[no-untyped-call]
    else:
        parts = query_key_value.unflatten(-1, (3, heads, -1))
        turned, value = parts[..., :2, :, :], parts[..., 2, :, :]
        if torch.is_grad_enabled():
            turned = rotate(turned, mask)
        else:
            _rotate_in_place(turned, *mask.rotation)
        if shared is not None:
            turned, value = shared.scatter(turned), shared.scatter(value)
        query, key = turned.unbind(2)
        out = _fused(query, key, value, mask)
    out = _zero_if_nothing_seen(out, mask.sees_nothing)
    return out if shared is None else shared.gather(out)


def _fused(
    query: Float[Tensor, "B T H K"],
    key: Float[Tensor, "B T H K"],
    value: Float[Tensor, "B T H K"],
    mask: AttentionMask,
) -> Float[Tensor, "B T D"]:
    query = query.transpose(1, 2)  # B H T K
    key = key[:, : mask.num_keys].transpose(1, 2)
    value = value[:, : mask.num_keys].transpose(1, 2)
    if mask.blocks is not None:
        out = _in_blocks(query, key, value, mask.blocks)
    else:
        out = scaled_dot_product_attention(
            query, key, value, attn_mask=mask.bias, is_causal=mask.causal
        )
    return out.transpose(1, 2).flatten(2)


def attend_to_source(
    query: Float[Tensor, "B T D"],
    key_value: Float[Tensor, "B S D2"],
    heads: int,
    source: EncodedSource,
) -> Float[Tensor, "B T D"]:
    """Return attention to another text, so without positions, as in T5 (Raffel et al. 2020).

    Args:
        query: H x K wide.
        key_value: the two projections side by side.
        heads: H.
        source: who sees what.
    """
    batch, length, width = query.shape
    dtype, query = query.dtype, query.to(key_value.dtype)
    query = query.view(batch, length, heads, -1).transpose(1, 2)  # B H T K
    key, value = key_value.view(batch, -1, 2, heads, width // heads).permute(2, 0, 3, 1, 4)
    if pays_by_hand(query):
        scale = query.shape[-1] ** -0.5
        scores = torch.bmm((query * scale).flatten(0, 1), key.flatten(0, 1).transpose(1, 2))
        scores = scores.view(batch, heads, length, -1)
        weights = (scores if source.bias is None else scores + source.bias).softmax(-1)
        out = torch.bmm(weights.flatten(0, 1), value.flatten(0, 1)).view(query.shape)
    elif source.blocks is not None:
        out = _in_blocks(query, key, value, source.blocks)
    else:
        out = scaled_dot_product_attention(query, key, value, attn_mask=source.bias)
    out = out.transpose(1, 2).reshape(batch, length, width).to(dtype)
    return _zero_if_nothing_seen(out, source.sees_nothing)


def pays_by_hand(x: Tensor) -> bool:
    """Say whether attention by hand beats the fused kernel: in bfloat16 only, twofold."""
    return by_hand(x) and x.dtype == torch.bfloat16


def rotate(x: Float[Tensor, "*P M H K"], mask: AttentionMask) -> Float[Tensor, "*P M H K"]:
    """Return `x` turned by position (Su et al. 2021); as in Llama, k pairs with k + K / 2."""
    left, right = x.chunk(2, dim=-1)
    cos, sin = mask.rotation
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


class _Attention(Function):
    """Compute the same by hand; causal queries go `SPAN` at a time, with the keys they see."""

    @staticmethod
    def forward(ctx: Any, query_key_value: Tensor, heads: int, mask: AttentionMask) -> Tensor:
        batch, length, width = query_key_value.shape
        parts = (
            query_key_value.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4).contiguous()
        )
        shape = parts.shape[1:]  # B H T K
        query, key, value = parts
        _rotate_in_place(query, mask.cos, mask.sin)
        _rotate_in_place(key, mask.cos, mask.sin)
        query *= shape[-1] ** -0.5
        query, key, value = parts.flatten(1, 2)  # each BH T K
        out, seen = torch.empty_like(query), []
        for start, stop, keys in _spans(length, mask):
            scores = torch.bmm(query[:, start:stop], key[:, :keys].transpose(1, 2))
            if mask.bias is not None:
                scores.view(batch, heads, stop - start, keys).add_(mask.bias)
            elif mask.causal and start < keys:
                scores[:, :, start:].add_(_hidden(stop - start, scores.dtype)[:, : keys - start])
            seen.append(torch.softmax(scores, dim=-1, out=scores))
            torch.bmm(scores, value[:, :keys], out=out[:, start:stop])
        ctx.save_for_backward(parts, *seen)
        ctx.mask = mask
        return out.view(shape).transpose(1, 2).reshape(batch, length, width // 3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        parts, *seen = ctx.saved_tensors
        _, batch, heads, length, _ = parts.shape
        query, key, value = parts.flatten(1, 2)
        gradient = gradient.view(batch, length, heads, -1).transpose(1, 2).reshape(query.shape)
        gradients = torch.empty_like(parts)
        to_query, to_key, to_value = gradients.flatten(1, 2)
        spans = _spans(length, ctx.mask)
        add = len(spans) > 1
        gradients[1:, :, :, 0 if add else ctx.mask.num_keys :].zero_()
        for (start, stop, keys), weights in zip(spans, seen, strict=True):
            part = gradient[:, start:stop]
            to_weights = torch.bmm(part, value[:, :keys].transpose(1, 2))
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            torch.bmm(to_scores, key[:, :keys], out=to_query[:, start:stop])
            to_value[:, :keys].baddbmm_(weights.transpose(1, 2), part, beta=add)
            to_key[:, :keys].baddbmm_(to_scores.transpose(1, 2), query[:, start:stop], beta=add)
        to_query *= parts.shape[-1] ** -0.5
        for each in gradients[:2]:
            _rotate_in_place(each, ctx.mask.cos, -ctx.mask.sin)
        return gradients.permute(1, 3, 0, 2, 4).reshape(batch, length, -1), None, None


def _rotate_in_place(x: Float[Tensor, "*N B H T K"], cos: Tensor, sin: Tensor) -> None:
    left, right = x.chunk(2, dim=-1)
    turned = left * sin
    left.mul_(cos).addcmul_(right, sin, value=-1)
    right.mul_(cos).add_(turned)


def _spans(length: int, mask: AttentionMask) -> list[tuple[int, int, int]]:
    """Return first and last query of each span, and how many keys these may see."""
    if not mask.causal:
        return [(0, length, mask.num_keys)]
    stops = [min(start + SPAN, length) for start in range(0, length, SPAN)]
    return [
        (start, stop, min(stop, mask.num_keys))
        for start, stop in zip(range(0, length, SPAN), stops, strict=True)
    ]


@cache
def _hidden(length: int, dtype: torch.dtype) -> Float[Tensor, "T T"]:
    """Return minus infinity above the diagonal, 0 elsewhere."""
    return torch.full((length, length), -torch.inf, dtype=dtype).triu_(1)


def _zero_if_nothing_seen(
    out: Float[Tensor, "B T D"], sees_nothing: Bool[Tensor, "B T 1"] | None
) -> Float[Tensor, "B T D"]:
    return out if sees_nothing is None else out.masked_fill(sees_nothing, 0)


def _in_blocks(query: Tensor, key: Tensor, value: Tensor, blocks: BlockMask) -> Tensor:
    """Return what FlexAttention gives; uncompiled it would hold the whole matrix of scores."""
    if torch.compiler.is_compiling():
        return flex_attention(query, key, value, block_mask=blocks, kernel_options=FLEX)
    return _compiled_flex()(query, key, value, block_mask=blocks, kernel_options=FLEX)


@cache
def _compiled_flex() -> Callable[..., Tensor]:
    return torch.compile(flex_attention)
