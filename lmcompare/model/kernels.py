"""The parts of a layer that are no matrix product, made fast for processors without a compiler.

Written out by hand, each with its gradient: in eager mode a chain of element-wise operations spends
its time on memory, so each function here passes over its data few times, in place where it may, and
saves only what its gradient needs. On other devices, and under torch.compile, the plain formula is
used, which a compiler fuses, and where tokens are written one by one, there being little data to
pass over; tests hold the two equal.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import rms_norm as plain_rms_norm
from torch.nn.functional import silu


def by_hand(x: Tensor) -> bool:
    """Say whether the functions here do their work by hand for `x`."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def rms_norm(
    x: Float[Tensor, "*B D"], weight: Float[Tensor, " D"], epsilon: float
) -> Float[Tensor, "*B D"]:
    """Return x / sqrt(mean(x^2) + epsilon) * weight.

    Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467.
    """
    if not by_hand(x) or torch.is_inference_mode_enabled():
        return plain_rms_norm(x, weight.shape, weight, epsilon)
    if not torch.is_grad_enabled():  # nothing need be kept
        return (x * _scale(x, epsilon)).mul_(weight)
    normed: Tensor = _RMSNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return normed


class _RMSNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scale = _scale(x, epsilon)
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        out: Tensor = normed * weight
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, scale, weight = ctx.saved_tensors
        product = gradient * normed
        mean = (product @ weight).div_(-normed.shape[-1]).unsqueeze(-1)
        to_x = (gradient * weight).addcmul_(normed, mean).mul_(scale)
        return to_x, product.flatten(0, -2).sum(0), None


def _scale(x: Float[Tensor, "*B D"], epsilon: float) -> Float[Tensor, "*B 1"]:
    exact = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
    scale: Tensor = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_().to(x.dtype)
    return scale


def swiglu(gate_value: Float[Tensor, "*B F2"]) -> Float[Tensor, "*B F"]:
    """Return silu(gate) x value, which come side by side.

    Shazeer 2020, https://arxiv.org/abs/2002.05202.
    """
    if not by_hand(gate_value) or torch.is_inference_mode_enabled():
        gate, value = gate_value.chunk(2, dim=-1)
        return silu(gate) * value
    if not torch.is_grad_enabled():
        gate, value = gate_value.chunk(2, dim=-1)
        return silu(gate).mul_(value)
    product: Tensor = _SwiGLU.apply(gate_value)  # type: ignore[no-untyped-call]
    return product


class _SwiGLU(Function):
    @staticmethod
    def forward(ctx: Any, gate_value: Tensor) -> Tensor:
        gate, value = gate_value.chunk(2, dim=-1)
        opened = silu(gate)
        ctx.save_for_backward(gate_value, opened)
        return opened * value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gate_value, opened = ctx.saved_tensors
        gate, value = gate_value.chunk(2, dim=-1)
        both = torch.empty_like(gate_value)  # both gradients into one buffer: no concatenation
        to_gate, to_value = both.chunk(2, dim=-1)
        torch.mul(gradient, opened, out=to_value)
        torch.ops.aten.silu_backward.grad_input(gradient * value, gate, grad_input=to_gate)
        return both
