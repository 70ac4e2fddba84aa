"""Tell what the weights of a head are like: how spread, how far, and to which side.

Each is a mean over the tokens of a row but the start token, which sees nothing else in a causal
model. Others do look at the start token: its share stands for itself, and it counts as a token on
the left.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MEASURES = ("entropy", "entropy_share", "distance", "left", "right", "self", "first")


def measured(
    weights: Float[Tensor, "B H T T"], sees: Bool[Tensor, "B T T"], asked: Bool[Tensor, "B T"]
) -> Float[Tensor, "B M H"]:
    """Return what `MEASURES` are of each head in each row, in float64.

    Args:
        weights: of one layer; each row adds up to 1.
        sees: whether position i may look at position j.
        asked: the positions over which the mean is taken, at least one of each row.
    """
    place = torch.arange(weights.shape[3], device=weights.device)
    far = (place - place[:, None]).abs().to(weights.dtype)
    entropy = torch.special.entr(weights).sum(3)
    largest = sees.sum(2).clamp(min=2).log()[:, None]  # of one position the entropy is 0 anyway
    values = torch.stack(
        [
            entropy,
            entropy / largest,
            (weights * far).sum(3),
            weights.tril(-1).sum(3),
            weights.triu(1).sum(3),
            weights.diagonal(dim1=2, dim2=3),
            weights[..., 0],
        ],
        dim=1,
    ).double()
    chosen = asked[:, None, None]
    return values.masked_fill(~chosen, 0.0).sum(3) / chosen.sum(3)
