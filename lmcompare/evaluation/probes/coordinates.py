"""States on the way to a probe: read in pieces, and turned so that problems are alike curved."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

FLATTEST = 1e-4  # share of the mean variance below which a direction is not stretched
KEPT = 512_000_000  # bytes of coordinates that are computed once and kept in memory
CHUNK = 16_384  # examples that are in memory, and shuffled, together

Read = Callable[[slice], Float[ndarray, "N F"]]  # the states of some examples


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinates:
    """Examples of one layer in coordinates that are uncorrelated and have variance 1.

    Attributes:
        read: gives the states of examples.
        mean: of the states.
        turn: from states less their mean to coordinates.
        stretch: by how much each coordinate's weights are larger in standardised states.
        kept: the coordinates of all examples; None where they are too many for the memory.
    """

    read: Read
    mean: Float[Tensor, " F"]
    turn: Float[Tensor, "F F"]
    stretch: Float[Tensor, " F"]
    kept: Float[Tensor, "N F"] | None = None

    @staticmethod
    def of(read: Read, examples: slice, *, num: int, device: torch.device) -> "Coordinates":
        """Return those of some examples, in one pass over them.

        Args:
            read: gives the states of examples.
            examples: whose coordinates are uncorrelated.
            num: of all examples.
            device: where to compute.
        """
        count, total, products = 0, torch.zeros(0), torch.zeros(0)
        for some in chunks(examples):
            x = torch.from_numpy(read(some)).to(device)
            if not count:
                offset = x.mean(0)  # near enough to the mean that squares lose no digits
                total = torch.zeros(x.shape[1], dtype=torch.float64, device=device)
                products = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=device)
            x = x - offset
            count += len(x)
            total += x.sum(0, dtype=torch.float64)
            products += (x.T @ x).double()
        mean = total / count
        covariance = products / count - mean.outer(mean)
        scale = covariance.diagonal().clamp(min=1e-12).sqrt()
        values, vectors = torch.linalg.eigh(covariance / scale.outer(scale))
        stretch = values.clamp(min=FLATTEST).rsqrt()
        found = Coordinates(
            read=read,
            mean=(mean + offset).float(),
            turn=((vectors * stretch) / scale[:, None]).float(),
            stretch=stretch.float(),
        )
        if num * len(mean) * 4 > KEPT:
            return found
        return replace(found, kept=torch.cat([found(some) for some in chunks(slice(0, num))]))

    @property
    def device(self) -> torch.device:
        """Return where they are computed."""
        return self.mean.device

    @property
    def width(self) -> int:
        """Return how many coordinates there are."""
        return len(self.mean)

    def __call__(self, some: slice) -> Float[Tensor, "N F"]:
        """Return the coordinates of some examples."""
        if self.kept is not None:
            return self.kept[some]
        return (torch.from_numpy(self.read(some)).to(self.device) - self.mean) @ self.turn


def chunks(examples: slice, size: int = CHUNK) -> Iterator[slice]:
    """Yield a range of examples in pieces that are in memory one at a time."""
    for start in range(examples.start, examples.stop, size):
        yield slice(start, min(start + size, examples.stop))
