"""What structural probes are fitted to, and how what they say is judged: distances, and depths."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare.evaluation.probes.trees import Tree


@dataclass(frozen=True, kw_only=True)
class Structure(ABC):
    """A side of trees that squared lengths under a linear map can stand for.

    Attributes:
        metric: the name of the score.
        baseline: the name of what needs no model.
    """

    metric: str
    baseline: str

    @abstractmethod
    def truth(self, tree: Tree) -> Int[ndarray, "..."]:
        """Return the numbers of arcs that are to be said."""

    @abstractmethod
    def said(self, mapped: Float[Tensor, "B T K"]) -> Float[Tensor, "B ..."]:
        """Return the numbers of arcs that the map says of some sentences."""

    @abstractmethod
    def score(self, said: Float[ndarray, "..."], tree: Tree) -> float:
        """Return how much of a tree is found."""

    @abstractmethod
    def max_score(self, tree: Tree) -> float:
        """Return how much of a tree there is to find."""

    @abstractmethod
    def baseline_score(self, tree: Tree) -> float:
        """Return how much of a tree is found without a model."""

    def loss(
        self,
        read: Callable[[Sequence[Tree]], Float[Tensor, "W F"]],
        weight: Tensor,
        trees: Sequence[Tree],
    ) -> Tensor:
        """Return the mean absolute error, each sentence counting the same.

        Args:
            read: gives the standardised states of the words of trees.
            weight: of the map, from states to fewer numbers.
            trees: of some sentences.
        """
        sizes = [len(each.heads) for each in trees]
        mapped = read(trees) @ weight
        said = self.said(torch.nn.utils.rnn.pad_sequence([*mapped.split(sizes)], batch_first=True))
        truth, share = np.zeros(said.shape, np.float32), np.zeros(said.shape, np.float32)
        for row, each in enumerate(trees):
            own = self.truth(each)
            within: tuple[int | slice, ...] = (row, *map(slice, own.shape))
            truth[within], share[within] = own, 1 / own.size
        off = (said - torch.from_numpy(truth).to(said.device)).abs()
        found: Tensor = (off * torch.from_numpy(share).to(said.device)).sum() / len(trees)
        return found


class Distance(Structure):
    """The number of arcs between two words, judged by the minimum spanning tree."""

    def truth(self, tree: Tree) -> Int[ndarray, "T T"]:
        return tree.distance

    def said(self, mapped: Float[Tensor, "B T K"]) -> Float[Tensor, "B T T"]:
        length = mapped.square().sum(2)
        inner = mapped @ mapped.transpose(1, 2)
        found: Tensor = length[:, :, None] + length[:, None] - 2 * inner
        return found.clamp(min=0)

    def score(self, said: Float[ndarray, "T T"], tree: Tree) -> float:
        if len(tree.judged) < 2:
            return 0.0
        own = said[np.ix_(tree.judged, tree.judged)] + 1e-9  # 0 would mean that there is no arc
        from scipy.sparse.csgraph import minimum_spanning_tree  # slow to import

        spanning = minimum_spanning_tree(np.triu(own, 1)).tocoo()
        ends = np.sort(tree.judged[np.stack([spanning.row, spanning.col], axis=1)], axis=1)
        return float(len({*map(tuple, ends.tolist())} & tree.arcs))

    def max_score(self, tree: Tree) -> float:
        return float(len(tree.arcs))

    def baseline_score(self, tree: Tree) -> float:
        words = tree.judged.tolist()
        return float(len({*pairwise(words)} & tree.arcs))


class Depth(Structure):
    """The number of arcs from a word to the root, judged by which word has the fewest."""

    def truth(self, tree: Tree) -> Int[ndarray, " T"]:
        return tree.depth

    def said(self, mapped: Float[Tensor, "B T K"]) -> Float[Tensor, "B T"]:
        return mapped.square().sum(2)

    def score(self, said: Float[ndarray, " T"], tree: Tree) -> float:
        if not len(tree.judged):
            return 0.0
        return float(tree.judged[said[tree.judged].argmin()] == tree.root)

    def max_score(self, tree: Tree) -> float:
        return float(tree.root in tree.judged)

    def baseline_score(self, tree: Tree) -> float:
        return float(len(tree.judged) > 0 and tree.judged[0] == tree.root)


STRUCTURES: dict[str, Structure] = {  # by the name of the task
    "tree-distance": Distance(metric="UUAS", baseline="chain"),
    "tree-depth": Depth(metric="root accuracy", baseline="first word"),
}
