"""Patterns of words: who is near to whom, and what chance makes of it."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors

from lmcompare.evaluation.similarity.patterns import (
    SampledLayers,
    centered,
    kernel,
    measured,
    neighbours,
    null_of_decompositions,
    null_of_patterns,
    overlaps,
    ranks,
)
from tests.evaluation.similarity.known_states import cka_by_kernels, drawn

STARTS = np.array([0, 19, 41])


def pair(num: int = 61) -> tuple[np.ndarray, np.ndarray]:
    x = drawn(num, 5)
    return centered(x), centered(x @ drawn(5, 7, 1) + drawn(num, 7, 2))


def tensor(pattern: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pattern.astype(np.float32))


def test_kernels_give_debiased_cka() -> None:
    x, y = pair()
    assert (kernel(x) * kernel(y)).sum() == pytest.approx(cka_by_kernels(x, y))


def test_neighbours_are_those_of_scikit_learn() -> None:
    x, y = pair()
    found = [
        NearestNeighbors(n_neighbors=11, metric="cosine").fit(each).kneighbors(each)[1][:, 1:]
        for each in (x, y)
    ]
    shared = np.mean([len({*one} & {*two}) / 10 for one, two in zip(*found, strict=True)])
    assert (neighbours(x) * neighbours(y)).sum() == pytest.approx(shared)
    assert (neighbours(x) ** 2).sum() == pytest.approx(1)


def test_ranks_give_spearman_s_correlation_of_distances() -> None:
    x, y = pair()
    expected = spearmanr(pdist(x, "cosine"), pdist(y, "cosine")).statistic
    assert (ranks(x) * ranks(y)).sum() == pytest.approx(expected)


def test_without_a_group_of_words_ranks_are_correlated_among_the_others() -> None:
    x, y = pair()
    found = measured("rsa", tensor(ranks(x)), tensor(ranks(y)), STARTS)
    rest = np.r_[0:19, 41:61]
    upper = np.triu_indices(len(rest), 1)
    one, two = (ranks(each)[np.ix_(rest, rest)][upper] for each in (x, y))
    assert found.without[1] == pytest.approx(np.corrcoef(one, two)[0, 1], abs=1e-5)
    assert found.value == pytest.approx((ranks(x) * ranks(y)).sum(), abs=1e-5)


def test_without_a_group_of_words_neighbours_are_those_of_the_others() -> None:
    x, y = pair()
    shares = (neighbours(x) * neighbours(y)).sum(1) * 61
    found = measured("neighbours", tensor(neighbours(x)), tensor(neighbours(y)), STARTS)
    assert found.without[2] == pytest.approx(shares[:41].mean(), abs=1e-5)


def test_the_null_of_what_is_alike_is_that_of_what_is_not() -> None:
    x, y = pair(101)
    for pattern, chance in ((kernel, 0.0), (ranks, 0.0), (neighbours, 0.1)):
        both = tensor(np.stack([pattern(x), pattern(y)]))
        ((own, other), _) = null_of_patterns(both, both, num=60)
        for null in (own, other):
            assert null.mean == pytest.approx(chance, abs=0.02)
            assert null.mean < null.high < chance + 0.2
        assert overlaps(both, both)[0, 1] > other.high


def test_the_nulls_of_decompositions_are_what_permuted_words_give() -> None:
    x, y = pair(211)
    one, two = (SampledLayers(states=[each], starts=STARTS) for each in (x, y))
    ((null,),) = null_of_decompositions(one.scaled, two.scaled, mean=False)
    order = np.random.default_rng(0).permutation(211)
    by_hand = np.linalg.svd(x.T @ y[order], compute_uv=False).sum() / (
        np.linalg.norm(x) * np.linalg.norm(y)
    )
    assert null.mean == pytest.approx(by_hand, abs=0.08)
    ((null,),) = null_of_decompositions(one.scores, two.scores, mean=True)
    assert 0 < null.mean < null.high < 0.3


def test_an_empty_pattern_is_like_nothing() -> None:
    flat = tensor(kernel(np.zeros((31, 3))))
    assert measured("rsa", flat, flat, np.array([0])).value is None
