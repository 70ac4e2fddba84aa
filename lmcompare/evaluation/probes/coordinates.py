"""States on the way to a probe: read in pieces, and turned so that problems are alike curved."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

FLATTEST = 1e-4  # share of the mean variance below which a direction is not stretched
KEPT = 256_000_000  # bytes of coordinates that are computed once and kept in memory
CHUNK = 16_384  # examples that are in memory, and shuffled, together

Read = Callable[[slice], Float[ndarray, "N F"]]  # the states of some examples


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinates:
    """Where standardised states have uncorrelated coordinates of variance 1.

    Attributes:
        mean: of the states.
        turn: from states less their mean to coordinates.
        stretch: by how much each coordinate's weights are larger in standardised states.
    """

    mean: Float[Tensor, " F"]
    turn: Float[Tensor, "F F"]
    stretch: Float[Tensor, " F"]

    @staticmethod
    def of(read: Read, examples: slice, *, device: torch.device) -> "Coordinates":
        """Return those of some examples, in one pass over them."""
        num, total, products = 0, torch.zeros(0), torch.zeros(0)
        for some in chunks(examples):
            x = torch.from_numpy(read(some)).to(device)
            if not num:
                offset = x.mean(0)  # near enough to the mean that squares lose no digits
                total = torch.zeros(x.shape[1], dtype=torch.float64, device=device)
                products = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=device)
            x = x - offset
            num += len(x)
            total += x.sum(0, dtype=torch.float64)
            products += (x.T @ x).double()
        mean = total / num
        covariance = products / num - mean.outer(mean)
        scale = covariance.diagonal().clamp(min=1e-12).sqrt()
        values, vectors = torch.linalg.eigh(covariance / scale.outer(scale))
        stretch = values.clamp(min=FLATTEST).rsqrt()
        return Coordinates(
            mean=(mean + offset).float(),
            turn=((vectors * stretch) / scale[:, None]).float(),
            stretch=stretch.float(),
        )

    def reader(self, read: Read, examples: slice) -> "Callable[[slice], Float[Tensor, 'N F']]":
        """Return what gives the coordinates of examples, kept in memory where they are few."""
        size = (examples.stop - examples.start) * len(self.mean) * 4
        if size > KEPT:
            return lambda some: self(read(some))
        kept = torch.cat([self(read(some)) for some in chunks(examples)])
        return lambda some: kept[some.start - examples.start : some.stop - examples.start]

    def __call__(self, states: Float[ndarray, "N F"]) -> Float[Tensor, "N F"]:
        """Return the coordinates of some states."""
        return (torch.from_numpy(states).to(self.mean.device) - self.mean) @ self.turn


def chunks(examples: slice, size: int = CHUNK) -> Iterator[slice]:
    """Yield a range of examples in pieces that are in memory one at a time."""
    for start in range(examples.start, examples.stop, size):
        yield slice(start, min(start + size, examples.stop))
