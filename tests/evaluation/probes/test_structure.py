"""A structural probe finds trees that are there, and none where there are none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmcompare.evaluation.probes.structure import SPEARMAN, Judged, probe_trees
from lmcompare.evaluation.probes.trees import Tree
from lmcompare.evaluation.states.word_states import States

WIDTH, NUM, LENGTHS = 53, 350, (5, 11)


def _trees() -> dict[str, list[Tree]]:
    chance = np.random.default_rng(8)
    trees, first = [], 0
    for number in range(NUM):
        size = int(chance.integers(*LENGTHS))
        order = chance.permutation(size)  # each word hangs on one that came before it
        heads = [0] * size
        for step in range(1, size):
            heads[order[step]] = int(order[chance.integers(0, step)]) + 1
        trees.append(_tree(number, first, heads))
        first += size
    return {"train": trees[:250], "validation": trees[250:300], "test": trees[300:]}


def _path(heads: list[int], word: int) -> list[int]:
    found = [word]
    while heads[found[-1]]:
        found.append(heads[found[-1]] - 1)
    return found


def _tree(number: int, first: int, heads: list[int]) -> Tree:
    paths = [_path(heads, word) for word in range(len(heads))]
    return Tree(
        number=number,
        first=first,
        heads=heads,
        distance=np.array([[len({*one} ^ {*other}) for other in paths] for one in paths]),
        depth=np.array([len(path) - 1 for path in paths]),
        judged=np.arange(len(heads)),
    )


def _probed(tmp_path: Path, states: np.ndarray) -> dict[str, Judged]:
    np.save(tmp_path / "layer-0.npy", states.astype(np.float16))
    found = States(
        folder=tmp_path,
        layers=[0],
        known=np.ones(len(states), dtype=bool),
        width=WIDTH,
        counts={},
    )
    return probe_trees(
        found,
        _trees(),
        ["tree-distance", "tree-depth"],
        seed=0,
        device=torch.device("cpu"),
        report=lambda share: None,
    )


def _num_words() -> int:
    return sum(len(tree.heads) for part in _trees().values() for tree in part)


def test_trees_that_are_in_the_states_are_found(tmp_path: Path) -> None:
    # a word is the sum of one direction for each arc up to the root, turned and among noise: the
    # squared distance of two words is the number of arcs between them, as 2 arcs never coincide
    chance = np.random.default_rng(1)
    turn = np.linalg.qr(chance.standard_normal((WIDTH, WIDTH)))[0]
    rows = []
    for part in ("train", "validation", "test"):
        for tree in _trees()[part]:
            for word in range(len(tree.heads)):
                row = np.zeros(WIDTH)
                row[_path([*tree.heads], word)[:-1]] = 1
                row[LENGTHS[1] :] = chance.standard_normal(WIDTH - LENGTHS[1])
                rows.append(row @ turn)
    found = _probed(tmp_path, np.array(rows))
    distance, depth = found["tree-distance"], found["tree-depth"]
    assert (distance.structure.metric, depth.structure.metric) == ("UUAS", "root accuracy")
    assert distance.layers[0].value > 0.9
    assert distance.layers[0].figures[SPEARMAN] > 0.9
    assert depth.layers[0].value > 0.9
    assert depth.layers[0].figures[SPEARMAN] > 0.9
    assert distance.layers[0].value == pytest.approx(
        distance.scores[0].sum() / distance.max_scores.sum()
    )


@pytest.fixture(scope="module")
def of_noise(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    noise = np.random.default_rng(2).standard_normal((_num_words(), WIDTH))
    return _probed(tmp_path_factory.mktemp("noise"), noise)


@pytest.mark.slow
def test_no_tree_is_found_in_noise(of_noise: dict[str, Judged]) -> None:
    found = of_noise
    # a random spanning tree of n words shares 2 (n - 1) / n arcs with another on average
    trees = _trees()["test"]
    chance = sum(2 * (len(each.heads) - 1) / len(each.heads) for each in trees)
    num_arcs = sum(len(each.heads) - 1 for each in trees)
    assert found["tree-distance"].layers[0].value == pytest.approx(chance / num_arcs, abs=0.1)
    assert abs(found["tree-distance"].layers[0].figures[SPEARMAN]) < 0.15
    one_in = np.mean([1 / len(each.heads) for each in trees])
    assert found["tree-depth"].layers[0].value == pytest.approx(one_in, abs=0.15)


def test_the_baselines_are_a_chain_and_the_first_word(of_noise: dict[str, Judged]) -> None:
    trees = _trees()["test"]
    distance, depth = of_noise["tree-distance"], of_noise["tree-depth"]
    assert (distance.structure.baseline, depth.structure.baseline) == ("chain", "first word")
    neighbours = [
        sum(bool(head) and abs(head - 1 - word) == 1 for word, head in enumerate(each.heads))
        for each in trees
    ]
    assert distance.baseline_scores.tolist() == neighbours
    assert depth.baseline_scores.tolist() == [float(each.heads[0] == 0) for each in trees]
