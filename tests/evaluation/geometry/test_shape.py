"""Clouds of states whose shape is known."""

import numpy as np
import pytest

from lmcompare.evaluation.geometry.shape import Shape, effective_rank, shape_of

FIRST = np.array([0, 3, 4, 11, 17, 53])


def drawn(num: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num, width))


def measured(states: np.ndarray, first: np.ndarray = FIRST, parts: int = 1) -> Shape:
    return shape_of(lambda: iter(np.array_split(states, parts)), states.mean(0), first)


def by_hand(states: np.ndarray) -> float:
    """The mean cosine of words of different texts, pair by pair."""
    text = np.repeat(np.arange(5), np.diff(FIRST))
    found = [
        one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        for a, one in zip(text, states, strict=True)
        for b, two in zip(text, states, strict=True)
        if a != b
    ]
    return float(np.mean(found))


@pytest.mark.parametrize("parts", [1, 11])
def test_anisotropy_is_the_mean_cosine_of_words_of_different_texts(parts: int) -> None:
    states = drawn(53, 7) + 1
    found = measured(states, parts=parts)
    assert found.anisotropy == pytest.approx(by_hand(states))
    assert found.centered_anisotropy == pytest.approx(by_hand(states - states.mean(0)))
    assert found.mean_norm == pytest.approx(np.linalg.norm(states, axis=1).mean())


def test_a_far_mean_makes_states_alike_until_it_is_taken_off() -> None:
    found = measured(drawn(53, 7) + 100)
    assert found.anisotropy > 0.99
    assert abs(found.centered_anisotropy) < 0.1


def test_ranks_are_the_number_of_axes_that_vary_alike() -> None:
    states = np.concatenate([np.eye(5), -np.eye(5)])
    found = measured(np.pad(states, ((0, 0), (0, 2))), np.arange(11))
    assert found.effective_rank == pytest.approx(5)
    assert found.participation_ratio == pytest.approx(5)
    assert found.spectrum == pytest.approx([0.2] * 5 + [0.0] * 2)


def test_the_ranks_of_a_known_spectrum() -> None:
    # variances 4 and 1: singular values 2 and 1, so shares of 2/3 and 1/3
    states = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    found = measured(states, np.arange(5))
    entropy = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert found.effective_rank == pytest.approx(np.exp(entropy))
    assert found.participation_ratio == pytest.approx(25 / 17)
    assert effective_rank(np.array([2.0, 1.0, 0.0])) == pytest.approx(np.exp(entropy))


def test_states_that_do_not_vary_have_no_rank() -> None:
    found = measured(np.full((53, 7), 3.0))
    assert found.anisotropy == pytest.approx(1)
    assert found.effective_rank is found.participation_ratio is found.centered_anisotropy is None
