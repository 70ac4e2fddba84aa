"""Cross-entropy against the whole vocabulary, without ever holding the logits of a batch.

Both gradients are computed in the forward pass, while the logits are there. Their matrix products
take up to `GROUP` rows at a time; what lies between them takes `rows_at_once`, few enough on a
processor for its cache to hold them.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from lmcompare.vocab import Candidates

GROUP = 2048


def rows_at_once(device: torch.device) -> int:
    """How many rows of logits are turned into probabilities together."""
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


def weighted_cross_entropy(
    states: Float[Tensor, "N D"],
    head: Float[Tensor, "V D"],
    target: Int[Tensor, " N"],
    weight: Float[Tensor, " N"],
) -> Float[Tensor, ""]:
    """Sum over rows of weight x -log softmax(states @ head.T)[target], in nats and float32."""
    loss: Tensor = _WeightedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        states, head, target, weight
    )
    return loss


@torch.no_grad()
def target_log_prob(
    states: Float[Tensor, "N D"],
    head: Float[Tensor, "V D"],
    target: Int[Tensor, " N"],
    among: Candidates | None = None,
) -> Float[Tensor, " N"]:
    """Log softmax(states @ head.T)[target] of each row, in nats and float32; of some ids only."""
    parts = []
    rows_each = rows_at_once(states.device)
    for rows, targets in zip(states.split(rows_each), target.split(rows_each), strict=True):
        logits = (rows @ head.T).float()
        if among is not None:
            logits, targets = among.narrow(logits, targets)
        parts.append(-cross_entropy(logits, targets, reduction="none"))
    return torch.cat(parts) if parts else states.new_zeros(0, dtype=torch.float32)
