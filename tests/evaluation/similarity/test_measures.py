"""Similarities of states whose answers are known, and beside other implementations of them."""

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy.linalg import orthogonal_procrustes

from lmcompare.evaluation.similarity.measures import (
    Measured,
    cka,
    debiased_hsic,
    hsic_and_without,
    jackknife_error,
    procrustes,
    svcca,
    whitening,
)
from lmcompare.evaluation.similarity.moments import BLOCK, Stored, groups_of, moments
from tests.evaluation.similarity.known_states import (
    biased_cka,
    cka_by_kernels,
    drawn,
    hsic_by_kernels,
    raw,
    rotation,
    sums,
)


def of_cka(x: ndarray, y: ndarray, size: int = 7) -> Measured:
    found = [hsic_and_without(sums(*each, size)) for each in ((x, y), (x, x), (y, y))]
    return cka(*found)


def of_svcca(x: ndarray, y: ndarray, size: int = 7) -> Measured:
    xx, yy = sums(x, x, size), sums(y, y, size)
    wide = whitening(xx.total.centered), whitening(yy.total.centered)
    return svcca(sums(x, y, size), xx, yy, *wide)


def of_procrustes(x: ndarray, y: ndarray, size: int = 7) -> Measured:
    return procrustes(sums(x, y, size))


ALL = [of_cka, of_svcca, of_procrustes]


@pytest.mark.parametrize("measure", ALL)
def test_states_are_like_themselves_however_they_are_turned_moved_and_scaled(measure) -> None:
    x = drawn(53, 11)
    turned = 17 * x @ rotation(11) + 3
    assert measure(x, x).value == pytest.approx(1, abs=1e-5)
    assert measure(x, turned).value == pytest.approx(1, abs=1e-5)
    y = drawn(53, 7, 1) + x[:, :7]
    assert measure(x, y).value == pytest.approx(measure(turned, y).value, abs=1e-5)
    assert measure(x, y).value < 0.9


@pytest.mark.parametrize("num", [13, 32, 101])
def test_debiased_cka_is_that_of_the_paper_which_makes_kernels(num: int) -> None:
    x = drawn(num, 11) + 2
    y = drawn(num, 7, 1) + x[:, :7]
    assert debiased_hsic(sums(x, y).total) == pytest.approx(hsic_by_kernels(x, y), rel=1e-4)
    assert of_cka(x, y).value == pytest.approx(cka_by_kernels(x, y), abs=1e-5)


def test_independent_states_have_none_while_the_biased_estimator_says_a_fifth() -> None:
    debiased, biased = [], []
    for seed in range(40):
        x, y = drawn(32, 8, seed), drawn(32, 8, 1_000 + seed)
        debiased.append(of_cka(x, y).value)
        biased.append(biased_cka(x, y))
    assert abs(np.mean(debiased)) < 0.02
    assert 0.15 < np.mean(biased) < 0.3


def test_the_cka_of_a_gaussian_is_what_its_covariances_say() -> None:
    # of x and y = xA + noise of size s the population's is |A|^2 / (|I| |A'A + s^2 I|)
    width, noise = 5, 0.7
    mixing = drawn(width, width, 3)
    expected = np.linalg.norm(mixing) ** 2 / (
        np.sqrt(width) * np.linalg.norm(mixing.T @ mixing + noise**2 * np.eye(width))
    )
    x = drawn(20_011, width, 4)
    found = of_cka(x, x @ mixing + noise * drawn(20_011, width, 5), size=1_001)
    assert found.value == pytest.approx(expected, abs=0.01)
    assert abs(found.value - expected) < 4 * found.error


@pytest.mark.parametrize("block", [1, 3, 16, 97])
def test_the_sums_of_blocks_are_those_of_the_whole_whatever_their_size(block: int) -> None:
    x, y = drawn(97, 11), drawn(97, 5, 1)
    whole = sums(x, y, size=97, block=97)
    parts = sums(x, y, size=19, block=block)
    np.testing.assert_allclose(parts.total.product, whole.total.product, rtol=1e-4, atol=1e-4)
    assert debiased_hsic(parts.total) == pytest.approx(debiased_hsic(whole.total), rel=1e-4)


def test_what_is_left_without_a_group_is_what_the_other_words_give() -> None:
    x = drawn(61, 5)
    y = drawn(61, 7, 1) + x @ drawn(5, 7, 2)
    found = {measure: measure(x, y, 20).without for measure in ALL}
    for number, start in enumerate((0, 20, 40, 60)):
        rest = np.delete(np.arange(61), range(start, min(start + 20, 61)))
        exact = of_cka(x[rest], y[rest]).value
        assert found[of_cka][number] == pytest.approx(exact, abs=1e-5)
    # where the rotation or the directions are held, small groups change little
    for measure in (of_svcca, of_procrustes):
        many = measure(x, y, 1).without
        left_out = [
            measure(np.delete(x, [each], 0), np.delete(y, [each], 0)).value for each in range(61)
        ]
        error = jackknife_error(np.array(left_out))
        assert jackknife_error(many) == pytest.approx(error, rel=0.25)
        assert np.corrcoef(many, left_out)[0, 1] > 0.9


def test_procrustes_is_scipy_s() -> None:
    x, y = drawn(47, 7), drawn(47, 7, 1) + 1
    x, y = x - x.mean(0), y - y.mean(0)
    _, scale = orthogonal_procrustes(x / np.linalg.norm(x), y / np.linalg.norm(y))
    assert of_procrustes(x, y).value == pytest.approx(scale, abs=1e-5)


def test_svcca_is_one_for_any_invertible_map_of_all_directions() -> None:
    x = drawn(211, 7)
    assert of_svcca(x, x @ (drawn(7, 7, 2) + 3 * np.eye(7)) + 5).value == pytest.approx(1, abs=1e-4)


def test_svcca_leaves_out_directions_of_little_variance() -> None:
    x = drawn(211, 7)
    x[:, 5:] *= 1e-3
    assert whitening(x.T @ x).shape == (7, 5)
    y = np.concatenate([x[:, :5], 1e-3 * drawn(211, 2, 1)], axis=1)
    assert of_svcca(x, y).value == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("measure", ALL)
def test_a_layer_that_does_not_vary_is_like_nothing(measure) -> None:
    assert measure(drawn(31, 5), np.ones((31, 3))).value is None


@pytest.mark.parametrize("measure", ALL)
def test_one_group_gives_no_interval(measure) -> None:
    x = drawn(31, 5)
    found = measure(x, x + drawn(31, 5, 1), 31)
    assert found.error is None
    assert found.interval.low is None


def test_the_interval_holds_the_similarity_of_the_population() -> None:
    mixing, noise, width = drawn(3, 3, 3), 0.7, 3
    expected = np.linalg.norm(mixing) ** 2 / (
        np.sqrt(width) * np.linalg.norm(mixing.T @ mixing + noise**2 * np.eye(width))
    )
    held = 0
    for seed in range(100):
        x = drawn(400, width, seed)
        y = x @ mixing + noise * drawn(400, width, 1_000 + seed)
        interval = of_cka(x, y, 20).interval
        held += interval.low <= expected <= interval.high
    assert held >= 88


def test_groups_never_part_a_text_and_are_about_equal() -> None:
    found = groups_of([0, 3, 17, 30, 41, 44], 53, 3)
    assert found == [range(17), range(17, 30), range(30, 53)]
    assert groups_of([0], 53, 20) == [range(53)]


def test_no_array_grows_with_the_words_but_their_features(tmp_path: Path) -> None:
    """What is read at once, and what is made of it, is as large for many words as for few."""
    read: list[int] = []

    class Watched(Stored):
        def __getitem__(self, rows: slice) -> ndarray:
            found = super().__getitem__(rows)
            read.append(len(found))
            return found

    for num in (2_003, 20_011):
        stored = Stored.of(tmp_path / str(num), [raw(drawn(num, 7))])
        watched = Watched(path=stored.path, shape=stored.shape)
        found = moments(watched, watched, groups_of(range(0, num, 50), num, 20))
        assert found.product.shape == (20, 9, 9)
    assert max(read) <= BLOCK


def test_features_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    made = raw(drawn(53, 7))
    stored = Stored.of(tmp_path / "features", [made[:17], made[17:]])
    assert stored.shape == made.shape
    np.testing.assert_array_equal(stored[11:23], made[11:23])
    np.testing.assert_array_equal(stored[47:99], made[47:])
