"""Cross-entropy against the whole vocabulary, without ever holding the logits of a large batch.

Both gradients are computed in the forward pass, while the logits are there. On a processor, matrix
products take up to `GROUP` rows at a time; what lies between them takes `rows_at_once`, few enough
for its cache to hold them. A GPU takes as many rows as `LOGITS` allows, and if compiled, reads the
logits twice and writes once what they become.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from lmcompare.vocab import Candidates

GROUP = 2048
LOGITS = 2**30  # held at once on a GPU


def rows_at_once(device: torch.device) -> int:
    """Return how many rows of logits are turned into probabilities together."""
    return 256 if device.type == "cpu" else GROUP


class _WeightedCrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, head: Tensor, target: Tensor, weight: Tensor
    ) -> Float[Tensor, ""]:
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        to_states, to_head = torch.empty_like(states), torch.zeros_like(head)
        chunk = min(rows_at_once(states.device), len(states))
        logits = states.new_empty(min(GROUP, len(states)), len(head))
        buffer = torch.empty(chunk, len(head), dtype=torch.float32, device=states.device)
        for first in range(0, len(states), GROUP):
            group = states[first : first + GROUP]
            for start in range(0, len(group), chunk):
                rows = slice(first + start, first + min(start + chunk, len(group)))
                here = logits[start : start + rows.stop - rows.start]
                torch.mm(states[rows], head.T, out=here)
                probability = buffer[: len(here)].copy_(here)
                at_target = probability.gather(1, target[rows, None])
                largest = probability.amax(1, keepdim=True)
                torch.softmax(probability, dim=1, out=probability)
                # the largest probability is 1 / sum(exp(logit - largest))
                log_prob = at_target - largest + probability.amax(1, keepdim=True).log_()
                share = weight[rows, None]
                total -= (log_prob * share).sum()
                here.copy_(probability.mul_(share).scatter_add_(1, target[rows, None], -share))
                torch.mm(here, head, out=to_states[rows])
            to_head.addmm_(logits[: len(group)].T, group)
        ctx.save_for_backward(to_states, to_head)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Float[Tensor, ""]) -> tuple[Tensor, Tensor, None, None]:
        to_states, to_head = ctx.saved_tensors
        return to_states * scale.to(to_states.dtype), to_head * scale.to(to_head.dtype), None, None


class _OnAccelerator(Function):
    """Compute the same in few large pieces; the head's gradient adds up in float32."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, head: Tensor, target: Tensor, weight: Tensor, compiled: bool
    ) -> Float[Tensor, ""]:
        make_gradient = _compiled_gradient() if compiled else to_gradient
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        to_states = torch.empty_like(states)
        to_head = torch.zeros(head.shape, dtype=torch.float32, device=head.device)
        for rows in _pieces(len(states), max(1, LOGITS // len(head))):
            logits = states[rows] @ head.T
            total += make_gradient(logits, target[rows], weight[rows])
            torch.mm(logits, head, out=to_states[rows])
            to_head += logits.T @ states[rows]
        ctx.save_for_backward(to_states, to_head.to(head.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Float[Tensor, ""]) -> tuple[Tensor, Tensor, None, None, None]:
        to_states, to_head = ctx.saved_tensors
        scale = scale.to(to_head.dtype)
        return to_states * scale, to_head * scale, None, None, None


def to_gradient(
    logits: Float[Tensor, "N V"], target: Int[Tensor, " N"], weight: Float[Tensor, " N"]
) -> Float[Tensor, ""]:
    """Return the sum over rows of weight x -log softmax(logits)[target].

    The logits become its gradient.
    """
    exact = logits.float()
    total = exact.logsumexp(1, keepdim=True)
    loss = ((total - exact.gather(1, target[:, None])) * weight[:, None]).sum()
    here = torch.arange(logits.shape[1], device=logits.device) == target[:, None]
    logits.copy_(((exact - total).exp() - here.float()) * weight[:, None])
    return loss


@cache
def _compiled_gradient() -> Callable[..., Tensor]:
    """Return `to_gradient`, compiled once for any number of rows."""
    compiled: Callable[..., Tensor] = torch.compile(to_gradient, fullgraph=True)

    def of_any_number(*columns: Tensor) -> Tensor:
        for column in columns:
            torch._dynamo.maybe_mark_dynamic(column, 0)
        return compiled(*columns)

    return of_any_number


def _pieces(num_rows: int, most: int) -> list[slice]:
    """Cut all rows into as few pieces of about one size as there may be."""
    num_pieces = -(-num_rows // most)
    return [
        slice(num_rows * piece // num_pieces, num_rows * (piece + 1) // num_pieces)
        for piece in range(num_pieces)
    ]


def weighted_cross_entropy(
    states: Float[Tensor, "N D"],
    head: Float[Tensor, "V D"],
    target: Int[Tensor, " N"],
    weight: Float[Tensor, " N"],
    *,
    compiled: bool = False,
) -> Float[Tensor, ""]:
    """Return the sum over rows of weight x -log softmax(states @ head.T)[target].

    In nats and float32.
    """
    loss: Tensor
    if states.device.type == "cpu":
        loss = _WeightedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            states, head, target, weight
        )
    else:
        loss = _OnAccelerator.apply(  # type: ignore[no-untyped-call]
            states, head, target, weight, compiled
        )
    return loss


@torch.no_grad()
def target_log_prob(
    states: Float[Tensor, "N D"],
    head: Float[Tensor, "V D"],
    target: Int[Tensor, " N"],
    among: Candidates | None = None,
) -> Float[Tensor, " N"]:
    """Return log softmax(states @ head.T)[target] of each row, in nats and float32.

    The softmax is over the ids `among` only, where these are given.
    """
    parts = []
    rows_each = rows_at_once(states.device)
    for rows, targets in zip(states.split(rows_each), target.split(rows_each), strict=True):
        logits = (rows @ head.T).float()
        if among is not None:
            logits, targets = among.narrow(logits, targets)
        parts.append(-cross_entropy(logits, targets, reduction="none"))
    return torch.cat(parts) if parts else states.new_zeros(0, dtype=torch.float32)
