"""Structural probes: is there a linear map in which distances between words are those of the tree?

After Hewitt & Manning 2019 (A Structural Probe for Finding Syntax in Word Representations). The
squared distance of two words' states under the map stands for the number of arcs between the words,
and the squared length of one for its depth; the mean absolute error is minimised. The first is
judged by the minimum spanning tree (UUAS: the share of undirected arcs found) and Spearman's
correlation by length of sentence (5 to 50 words), the second by the root and the same. As there,
punctuation is left out of the trees that are judged.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from lmcompare import rng
from lmcompare.evaluation.probes.features import moments
from lmcompare.evaluation.probes.record import LayerResult
from lmcompare.evaluation.probes.structures import STRUCTURES, Structure
from lmcompare.evaluation.probes.trees import Tree
from lmcompare.evaluation.states.word_states import States

RANK = 64  # of the map, at most
EPOCHS = 8
FEWEST_STEPS = 600  # of few sentences there are more epochs
BATCH = 32  # sentences of a step
POOL = 20  # batches of sentences that are sorted by length together
RATE = 0.01  # of Adam at its start
LENGTHS = range(5, 51)  # words of the sentences that Spearman's correlation is of
SPEARMAN = "Spearman"

Read = Callable[[Sequence[Tree]], Float[Tensor, "W F"]]  # the states of the words of trees


@dataclass(kw_only=True, eq=False)
class Judged:
    """What one structural probe finds of the test sentences, layer by layer.

    Attributes:
        structure: that the probe is fitted to.
        trees: of the test sentences.
        num_train: the number of sentences to learn from.
        layers: what each layer reaches.
        scores: of each layer how much of each tree is found.
    """

    structure: Structure
    trees: Sequence[Tree]
    num_train: int
    layers: list[LayerResult] = field(default_factory=list)
    scores: list[Float[ndarray, " N"]] = field(default_factory=list)

    @property
    def max_scores(self) -> Float[ndarray, " N"]:
        """Return how much of each tree there is to find."""
        return np.array([self.structure.max_score(each) for each in self.trees])

    @property
    def baseline_scores(self) -> Float[ndarray, " N"]:
        """Return how much of each tree is found without a model."""
        return np.array([self.structure.baseline_score(each) for each in self.trees])


def probe_trees(
    states: States,
    trees: dict[str, list[Tree]],
    names: Sequence[str],
    *,
    seed: int,
    device: torch.device,
    report: Callable[[float], None],
) -> dict[str, Judged]:
    """Fit and test structural probes, one layer after another.

    Args:
        states: of all words.
        trees: of each part.
        names: of tasks, those of `STRUCTURES`.
        seed: of the weights.
        device: where to compute.
        report: told the share that is done, 0 to 1.
    """
    words = np.concatenate([each.first + np.arange(len(each.heads)) for each in trees["train"]])
    found = {
        name: Judged(structure=STRUCTURES[name], trees=trees["test"], num_train=len(trees["train"]))
        for name in names
    }
    for number, layer in enumerate(states.layers, start=1):
        stored = states.layer(layer)
        mean, spread = map(torch.from_numpy, moments(stored, words))

        def read(some: Sequence[Tree]) -> Tensor:
            rows = np.concatenate([each.first + np.arange(len(each.heads)) for each in some])
            own = torch.from_numpy(stored[rows].astype(np.float32))  # noqa: B023
            return (own - mean).div(spread).to(device)  # noqa: B023

        for judged in found.values():
            weight = _fitted(
                read, trees, judged.structure, width=states.width, seed=seed, device=device
            )
            _judge(judged, layer, read, weight, trees)
        report(number / len(states.layers))
    return found


def _judge(
    judged: Judged,
    layer: int,
    read: Read,
    weight: Tensor,
    trees: dict[str, list[Tree]],
) -> None:
    """Add what one layer tells to what was found."""
    structure, shares = judged.structure, {}
    for part in ("validation", "test"):
        said = [*_said(structure, read, weight, trees[part])]
        scores = [structure.score(*each) for each in zip(said, trees[part], strict=True)]
        most = sum(map(structure.max_score, trees[part]))
        shares[part] = sum(scores) / most if most else 0.0
    judged.scores.append(np.array(scores))
    judged.layers.append(
        LayerResult(
            layer=layer,
            validation=shares["validation"],
            value=shares["test"],
            figures={SPEARMAN: _by_length(structure, said, judged.trees)},
        )
    )


def _fitted(
    read: Read,
    trees: dict[str, list[Tree]],
    structure: Structure,
    *,
    width: int,
    seed: int,
    device: torch.device,
) -> Tensor:
    """Return the map of the epoch that does best on the validation sentences."""
    draws = rng.generator("weights of a structural probe", seed)
    rank = min(RANK, width)
    weight: Tensor = (torch.randn(width, rank, generator=draws) * 0.1 / rank**0.5).to(device)
    weight.requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=RATE)
    best, kept = float("inf"), torch.empty(0)
    num_epochs = max(EPOCHS, -(-FEWEST_STEPS * BATCH // len(trees["train"])))
    for epoch in range(num_epochs):
        optimizer.param_groups[0]["lr"] = RATE * (1 - epoch / num_epochs)
        for some in _batches(trees["train"], draws):
            optimizer.zero_grad()
            structure.loss(read, weight, some).backward()
            optimizer.step()
        with torch.no_grad():
            losses = [
                float(structure.loss(read, weight, some)) * len(some)
                for some in _batches(trees["validation"], None)
            ]
        if sum(losses) < best:
            best, kept = sum(losses), weight.detach().clone()
    return kept


def _batches(trees: Sequence[Tree], draws: torch.Generator | None) -> Iterator[list[Tree]]:
    order = (
        [*range(len(trees))]
        if draws is None
        else torch.randperm(len(trees), generator=draws).tolist()
    )
    for start in range(0, len(order), POOL * BATCH):
        pool = sorted(order[start : start + POOL * BATCH], key=lambda each: len(trees[each].heads))
        for first in range(0, len(pool), BATCH):
            yield [trees[each] for each in pool[first : first + BATCH]]


@torch.no_grad()
def _said(
    structure: Structure, read: Read, weight: Tensor, trees: Sequence[Tree]
) -> Iterator[Float[ndarray, "..."]]:
    """Yield what is said of each sentence."""
    for tree in trees:
        yield structure.said((read([tree]) @ weight)[None])[0].cpu().double().numpy()


def _spearman(said: Float[ndarray, "..."], truth: Float[ndarray, "..."]) -> float | None:
    """Return Spearman's correlation; of distances the mean over the words from which they go."""
    if said.ndim > 1:  # without a word's distance from itself, which is 0 whatever was learned
        off = ~np.eye(len(said), dtype=bool)
        said, truth = (each[off].reshape(len(said), -1) for each in (said, truth))
    from scipy.stats import rankdata  # slow to import, and tables import this file, too

    one, other = (rankdata(np.atleast_2d(each), axis=1) for each in (said, truth))
    one, other = one - one.mean(1, keepdims=True), other - other.mean(1, keepdims=True)
    spread = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    known = spread > 0
    return float(((one * other).sum(1)[known] / spread[known]).mean()) if known.any() else None


def _by_length(
    structure: Structure, said: Sequence[Float[ndarray, "..."]], trees: Sequence[Tree]
) -> float:
    """Return Spearman's correlation: the mean over lengths of the mean over their sentences."""
    own: dict[int, list[float]] = {}
    for found, tree in zip(said, trees, strict=True):
        if (
            len(tree.heads) in LENGTHS
            and (rho := _spearman(found, structure.truth(tree))) is not None
        ):
            own.setdefault(len(tree.heads), []).append(rho)
    return float(np.mean([np.mean(each) for each in own.values()])) if own else 0.0
