"""Structural probes: is there a linear map in which distances between words are those of the tree?

After Hewitt & Manning 2019 (A Structural Probe for Finding Syntax in Word Representations). The
squared distance of two words' states under the map stands for the number of arcs between the words,
and the squared length of one for its depth; the mean absolute error is minimised. The first is
judged by the minimum spanning tree (UUAS: the share of undirected arcs found) and Spearman's
correlation by length of sentence (5 to 50 words), the second by the root and the same. As there,
punctuation is left out of the trees that are judged.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.stats import rankdata
from torch import Tensor

from lmcompare import rng
from lmcompare.evaluation.probes.features import moments
from lmcompare.evaluation.probes.record import LayerResult
from lmcompare.evaluation.probes.states import States
from lmcompare.evaluation.probes.trees import Tree

RANK = 64  # of the map, at most
EPOCHS = 8
FEWEST_STEPS = 600  # of few sentences there are more epochs
BATCH = 32  # sentences of a step
POOL = 20  # batches of sentences that are sorted by length together
RATE = 0.01  # of Adam at its start
LENGTHS = range(5, 51)  # words of the sentences that Spearman's correlation is of
SPEARMAN = "Spearman"
DISTANCE, DEPTH = "tree-distance", "tree-depth"  # the tasks


@dataclass(kw_only=True, eq=False)
class Judged:
    """What one structural probe finds of the test sentences, layer by layer."""

    metric: str
    layers: list[LayerResult]
    trees: Sequence[Tree]  # of the test
    possible: Float[ndarray, " N"]
    gained: list[Float[ndarray, " N"]]
    baseline: tuple[str, Float[ndarray, " N"]]
    num_train: int


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
        names: `tree-distance`, `tree-depth`, or both.
        seed: of the weights.
        device: where to compute.
        report: told the share that is done, 0 to 1.
    """
    test = trees["test"]
    words = np.concatenate([each.first + np.arange(len(each.heads)) for each in trees["train"]])
    found = {name: _blank(name, trees) for name in names}
    for number, layer in enumerate(states.layers, start=1):
        stored = states.layer(layer)
        mean, spread = map(torch.from_numpy, moments(stored, words))

        def read(tree: Tree) -> Tensor:
            rows = stored[tree.first : tree.first + len(tree.heads)].astype(np.float32)  # noqa: B023
            return (torch.from_numpy(rows) - mean).div(spread).to(device)  # noqa: B023

        for name, judged in found.items():
            mapped = _fitted(read, trees, name, width=states.width, seed=seed, device=device)
            values = {}
            for part in ("validation", "test"):
                said = [*_said(name, read, mapped, trees[part])]
                gained = [_gained(name, *each) for each in zip(said, trees[part], strict=True)]
                possible = sum(_possible(name, each) for each in trees[part])
                values[part] = sum(gained) / possible if possible else 0.0
            judged.gained.append(np.array(gained))
            judged.layers.append(
                LayerResult(
                    layer=layer,
                    validation=values["validation"],
                    value=values["test"],
                    figures={SPEARMAN: _by_length(name, said, test)},
                )
            )
        report(number / len(states.layers))
    return found


def _blank(name: str, trees: dict[str, list[Tree]]) -> Judged:
    test = trees["test"]
    if name == DISTANCE:
        chain = [
            {*zip(each.judged.tolist(), each.judged[1:].tolist(), strict=False)} for each in test
        ]
        gained = [len(each.arcs & own) for each, own in zip(test, chain, strict=True)]
        metric, baseline = "UUAS", ("chain", np.array(gained, dtype=np.float64))
    else:
        first = [bool(len(each.judged)) and each.root == each.judged[0] for each in test]
        metric, baseline = "root accuracy", ("first word", np.array(first, dtype=np.float64))
    return Judged(
        metric=metric,
        layers=[],
        trees=test,
        possible=np.array([_possible(name, each) for each in test]),
        gained=[],
        baseline=baseline,
        num_train=len(trees["train"]),
    )


def _possible(name: str, tree: Tree) -> float:
    return float(len(tree.arcs)) if name == DISTANCE else float(tree.root in tree.judged)


def _fitted(
    read: Callable[[Tree], Tensor],
    trees: dict[str, list[Tree]],
    name: str,
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
            _loss(name, read, weight, some).backward()
            optimizer.step()
        with torch.no_grad():
            losses = [
                float(_loss(name, read, weight, some)) * len(some)
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


def _loss(
    name: str, read: Callable[[Tree], Tensor], weight: Tensor, trees: Sequence[Tree]
) -> Tensor:
    """Return the mean absolute error of distances or depths, each sentence counting the same."""
    sizes = [len(each.heads) for each in trees]
    mapped = torch.cat([read(each) for each in trees]) @ weight
    padded = torch.nn.utils.rnn.pad_sequence([*mapped.split(sizes)], batch_first=True)
    if name == DEPTH:
        depth = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(each.depth) for each in trees], batch_first=True
        ).to(weight.device)
        off = (padded.square().sum(2) - depth).abs().sum(1)
        num = torch.tensor(sizes, device=weight.device)
    else:
        longest = max(sizes)
        distance = torch.zeros(len(trees), longest, longest)
        is_word = torch.zeros(len(trees), longest)
        for row, each in enumerate(trees):
            distance[row, : sizes[row], : sizes[row]] = torch.from_numpy(each.distance)
            is_word[row, : sizes[row]] = 1
        both = (is_word[:, :, None] * is_word[:, None]).to(weight.device)
        off = ((_squared_distances(padded) - distance.to(weight.device)).abs() * both).sum((1, 2))
        num = torch.tensor(sizes, device=weight.device) ** 2
    loss: Tensor = (off / num).mean()
    return loss


def _squared_distances(mapped: Float[Tensor, "B T K"]) -> Float[Tensor, "B T T"]:
    length = mapped.square().sum(2)
    inner = mapped @ mapped.transpose(1, 2)
    distances: Tensor = length[:, :, None] + length[:, None] - 2 * inner
    return distances.clamp(min=0)


@torch.no_grad()
def _said(
    name: str, read: Callable[[Tree], Tensor], weight: Tensor, trees: Sequence[Tree]
) -> Iterator[Float[ndarray, "N T"]]:
    """Yield the distances between the words of each sentence, or in one row their depths."""
    for tree in trees:
        mapped = (read(tree) @ weight)[None]
        found = mapped.square().sum(2) if name == DEPTH else _squared_distances(mapped)[0]
        yield found.cpu().double().numpy()


def _gained(name: str, said: Float[ndarray, "N T"], tree: Tree) -> float:
    """Return how many arcs are found, or whether the root is."""
    if not len(tree.judged):
        return 0.0
    if name == DEPTH:
        return float(tree.judged[said[0, tree.judged].argmin()] == tree.root)
    return float(len(_spanning(said, tree) & tree.arcs))


def _spanning(distance: Float[ndarray, "T T"], tree: Tree) -> set[tuple[int, int]]:
    """Return the arcs of the minimum spanning tree of the judged words, the earlier word first."""
    if len(tree.judged) < 2:
        return set()
    own = distance[np.ix_(tree.judged, tree.judged)] + 1e-9  # 0 would mean that there is no arc
    found = minimum_spanning_tree(np.triu(own, 1)).tocoo()
    return {
        (int(tree.judged[min(one, other)]), int(tree.judged[max(one, other)]))
        for one, other in zip(found.row, found.col, strict=True)
    }


def _spearman(said: Float[ndarray, "N T"], truth: Int[ndarray, "N T"]) -> float | None:
    """Return the mean over rows of Spearman's correlation."""
    if len(said) > 1:  # without a word's distance from itself, which is 0 whatever was learned
        off = ~np.eye(len(said), dtype=bool)
        said, truth = (each[off].reshape(len(said), -1) for each in (said, truth))
    one, other = rankdata(said, axis=1), rankdata(truth, axis=1)
    one, other = one - one.mean(1, keepdims=True), other - other.mean(1, keepdims=True)
    spread = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    known = spread > 0
    return float(((one * other).sum(1)[known] / spread[known]).mean()) if known.any() else None


def _by_length(name: str, said: Sequence[Float[ndarray, "N T"]], trees: Sequence[Tree]) -> float:
    """Return Spearman's correlation: the mean over lengths of the mean over their sentences."""
    own: dict[int, list[float]] = {}
    for found, tree in zip(said, trees, strict=True):
        if len(tree.heads) in LENGTHS:
            truth = tree.depth[None] if name == DEPTH else tree.distance
            if (rho := _spearman(found, truth)) is not None:
                own.setdefault(len(tree.heads), []).append(rho)
    return float(np.mean([np.mean(each) for each in own.values()])) if own else 0.0
