"""Sums over words from which similarities follow, so that no array has words by words numbers.

A word's state x becomes the features (x, 1, |x|^2). One product of the features of two layers then
holds all the sums that are needed: X'Y, the sums of x and of y, their squared norms, and those of
each weighted by the other's. The words lie in groups of neighbours; each group has sums of its own,
so that a similarity without a group is had without reading the words again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

BLOCK = 1_024  # words that are multiplied at once: a product in float32, added up in float64


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Sums over n words of two layers, of D and E numbers; leading axes are kept as they are.

    Attributes:
        product: of the features of the one, transposed, with those of the other.
    """

    product: Float[ndarray, "*G D2 E2"]

    @property
    def total(self) -> "Moments":
        """Return the sums over all groups."""
        return Moments(product=self.product.sum(0))

    @property
    def without_each(self) -> "Moments":
        """Return the sums over all groups but one, for each of them."""
        return Moments(product=self.product.sum(0) - self.product)

    @property
    def num(self) -> Float[ndarray, "*G"]:
        """Return the number of words."""
        return self.product[..., -2, -2]

    @property
    def cross(self) -> Float[ndarray, "*G D E"]:
        """Return the sum of x y'."""
        return self.product[..., :-2, :-2]

    @property
    def sums(self) -> tuple[Float[ndarray, "*G D"], Float[ndarray, "*G E"]]:
        """Return the sum of x, and of y."""
        return self.product[..., :-2, -2], self.product[..., -2, :-2]

    @property
    def norms(self) -> tuple[Float[ndarray, "*G"], Float[ndarray, "*G"]]:
        """Return the sum of |x|^2, and of |y|^2."""
        return self.product[..., -1, -2], self.product[..., -2, -1]

    @property
    def weighted(self) -> tuple[Float[ndarray, "*G D"], Float[ndarray, "*G E"]]:
        """Return the sum of x |y|^2, and of y |x|^2."""
        return self.product[..., :-2, -1], self.product[..., -1, :-2]

    @property
    def product_of_norms(self) -> Float[ndarray, "*G"]:
        """Return the sum of |x|^2 |y|^2."""
        return self.product[..., -1, -1]

    @property
    def centered(self) -> Float[ndarray, "*G D E"]:
        """Return the sum of (x - mean) (y - mean)'."""
        x, y = self.sums
        found: ndarray = self.cross - x[..., :, None] * y[..., None, :] / self.num[..., None, None]
        return found

    def about(self, x: Float[ndarray, " D"], y: Float[ndarray, " E"]) -> Float[ndarray, "*G D E"]:
        """Return the sum of (x - one point) (y - another)'."""
        sums_x, sums_y = self.sums
        found: ndarray = (
            self.cross
            - sums_x[..., :, None] * y
            - x[:, None] * sums_y[..., None, :]
            + self.num[..., None, None] * x[:, None] * y
        )
        return found

    @property
    def variances(self) -> tuple[Float[ndarray, "*G"], Float[ndarray, "*G"]]:
        """Return the sum of |x - mean|^2, and of |y - mean|^2."""
        x, y = ((each**2).sum(-1) / self.num for each in self.sums)
        return self.norms[0] - x, self.norms[1] - y


def features(states: Float[ndarray, "N D"], mean: ndarray, scale: float) -> Float[ndarray, "N D2"]:
    """Return (x, 1, |x|^2) of each state x after its mean is taken off and it is divided."""
    found = np.empty((len(states), states.shape[1] + 2), dtype=np.float32)
    found[:, :-2] = (states - mean) / scale
    found[:, -2] = 1
    found[:, -1] = np.square(found[:, :-2], dtype=np.float32).sum(1)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """The features of words in a file, of which rows are read when they are asked for.

    It is not mapped into memory: what is mapped counts as memory until it is let go.
    """

    path: Path
    shape: tuple[int, int]

    @staticmethod
    def of(path: Path, blocks: Iterable[Float[ndarray, "B D2"]]) -> "Stored":
        """Write features, block by block."""
        num = width = 0
        with path.open("wb") as file:
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=np.float32).data)
                num, width = num + len(block), block.shape[1]
        return Stored(path=path, shape=(num, width))

    def __getitem__(self, rows: slice) -> Float[ndarray, "B D2"]:
        """Return some rows."""
        start, stop, _ = rows.indices(self.shape[0])
        width = self.shape[1]
        found = np.fromfile(
            self.path, dtype=np.float32, count=(stop - start) * width, offset=4 * start * width
        )
        return found.reshape(-1, width)


def moments(
    x: "Float[ndarray, 'N D2'] | Stored",
    y: "Float[ndarray, 'N E2'] | Stored",
    groups: Sequence[range],
    *,
    block: int = BLOCK,
) -> Moments:
    """Return the sums of each group of words.

    Args:
        x: features.
        y: those of another layer for the same words.
        groups: of neighbouring words.
        block: words that are read at once.
    """
    found = np.zeros((len(groups), x.shape[1], y.shape[1]))
    for group, own in zip(found, groups, strict=True):
        for start in range(own.start, own.stop, block):
            part = slice(start, min(start + block, own.stop))
            group += _product(x[part], y[part])
    return Moments(product=found)


def _product(x: ndarray, y: ndarray) -> ndarray:
    left, right = (torch.from_numpy(np.ascontiguousarray(each)) for each in (x, y))
    found: ndarray = (left.T @ right).numpy()
    return found


def groups_of(firsts: Sequence[int], num_words: int, most: int) -> list[range]:
    """Return neighbouring words in groups of about one size, none of which parts a text.

    Args:
        firsts: the number of the first word of each text, in order.
        num_words: of all texts.
        most: groups that there are at most; fewer where there are fewer texts.
    """
    wanted = np.linspace(0, num_words, min(most, len(firsts)) + 1)[1:-1]
    borders = np.asarray(firsts)
    cuts = {int(borders[np.abs(borders - each).argmin()]) for each in wanted} - {0}
    ends = [0, *sorted(cuts), num_words]
    return [range(start, stop) for start, stop in pairwise(ends)]
