"""Linear probes that are fitted together find the optimum that scikit-learn finds one by one."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from lmcompare.evaluation.probes import linear, mlp
from lmcompare.evaluation.probes.classification import answers
from lmcompare.evaluation.probes.coordinates import Coordinates
from lmcompare.evaluation.probes.linear import Problem

NUM, WIDTH = 3_001, 23
TRAIN, TEST = slice(0, 2_003), slice(2_003, NUM)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    """Return correlated states of very unlike sizes, as those of a residual stream are."""
    chance = np.random.default_rng(5)
    mixed = chance.standard_normal((NUM, WIDTH)) @ chance.standard_normal((WIDTH, WIDTH))
    found: np.ndarray = mixed * np.geomspace(0.01, 100, WIDTH) + chance.standard_normal(WIDTH) * 30
    return found.astype(np.float32)


def _labels(states: np.ndarray, num_classes: int, seed: int) -> np.ndarray:
    """Return labels that the states tell in part."""
    chance = np.random.default_rng(seed)
    standard = (states - states.mean(0)) / states.std(0)
    scores = standard @ chance.standard_normal((WIDTH, num_classes))
    found: np.ndarray = (scores + chance.gumbel(size=scores.shape) * 2).argmax(1)
    return found


@pytest.fixture(scope="module")
def problems(states: np.ndarray) -> list[Problem]:
    """Return three questions of unlike sizes, the last of which is asked of a tenth."""
    several = [_labels(states, num, seed) for seed, num in enumerate((2, 7, 3))]
    several[2] = np.where(np.random.default_rng(9).random(NUM) < 0.1, several[2], -1)
    return [
        Problem(labels=labels, num_classes=num)
        for labels, num in zip(several, (2, 7, 3), strict=True)
    ]


@pytest.fixture(scope="module")
def fitted(states: np.ndarray, problems: list[Problem]) -> linear.LinearProbes:
    coordinates = Coordinates.of(states.__getitem__, TRAIN, num=NUM, device=CPU)
    return linear.fit(coordinates, TRAIN, problems)


def test_coordinates_are_uncorrelated(states: np.ndarray) -> None:
    coordinates = Coordinates.of(states.__getitem__, TRAIN, num=NUM, device=CPU)
    found = coordinates(TRAIN).double()
    assert_allclose(found.mean(0), np.zeros(WIDTH), atol=1e-3)
    covariance = np.cov(found.T.numpy())
    off = covariance - np.diag(np.diag(covariance))
    assert np.abs(off).max() < 1e-2
    assert np.diag(covariance).max() == pytest.approx(1.0, abs=1e-2)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("strength", [0, 1, 2, 3])
def test_they_are_those_of_scikit_learn(
    states: np.ndarray,
    problems: list[Problem],
    fitted: linear.LinearProbes,
    index: int,
    strength: int,
) -> None:
    problem = problems[index]
    spread, mean = states[TRAIN].std(0), states[TRAIN].mean(0)
    x, labels = (states - mean) / spread, problem.labels
    train, test = (labels[part] >= 0 for part in (TRAIN, TEST))
    reference = LogisticRegression(
        C=1 / (train.sum() * problem.strengths[strength]), max_iter=5_000, tol=1e-6
    ).fit(x[TRAIN][train], labels[TRAIN][train])
    found = answers(fitted, TEST)[index]
    expected = reference.predict_log_proba(x[TEST][test])
    truth = labels[TEST][test]
    score = float((expected.argmax(1) == truth).mean())
    loss = -float(expected[np.arange(len(truth)), truth].mean())
    # a tenth of the examples are asked of the last one, of which one is half a point
    assert found.score[strength] == pytest.approx(score, abs=0.005 if index < 2 else 0.03)
    assert found.loss[strength] == pytest.approx(loss, abs=0.01 if index < 2 else 0.05)


def test_they_do_not_depend_on_each_other(
    states: np.ndarray, problems: list[Problem], fitted: linear.LinearProbes
) -> None:
    alone = linear.fit(fitted.coordinates, TRAIN, [problems[1]])
    one = answers(alone, TEST)[0]
    among = answers(fitted, TEST)[1]
    assert_allclose(one.loss, among.loss, atol=1e-4)


def test_the_order_of_examples_hardly_matters(
    states: np.ndarray, problems: list[Problem], fitted: linear.LinearProbes
) -> None:
    other = linear.fit(fitted.coordinates, TRAIN, problems, seed=1)
    for one, two in zip(
        answers(other, TEST),
        answers(fitted, TEST),
        strict=True,
    ):
        assert_allclose(one.loss, two.loss, atol=0.01)


def test_what_is_not_asked_and_what_is_no_class_teach_nothing(
    states: np.ndarray, problems: list[Problem], fitted: linear.LinearProbes
) -> None:
    labels = problems[1].labels.copy()
    asked = np.random.default_rng(1).random(NUM) < 0.5
    hidden = Problem(labels=np.where(asked, labels, -1), num_classes=7)
    beyond = Problem(labels=np.where(asked, labels, 7), num_classes=7)
    both = linear.fit(fitted.coordinates, TRAIN, [hidden, beyond])
    one, two = (probes for probes in both.log_probs(TEST))
    assert_allclose(one, two, atol=1e-5)


def test_a_label_that_is_no_class_is_answered_wrongly(
    states: np.ndarray, fitted: linear.LinearProbes
) -> None:
    labels = np.where(np.arange(NUM) % 2, 2, 0)  # classes 0 and 1, and one never seen
    problem = Problem(labels=labels, num_classes=2)
    probes = linear.fit(fitted.coordinates, TRAIN, [problem])
    found = answers(probes, TEST)[0]
    assert_allclose(found.score, (labels[TEST] == 0).mean())
    assert np.isfinite(found.loss).all()


def test_a_hidden_layer_learns_what_is_not_linear() -> None:
    chance = np.random.default_rng(3)
    states = chance.standard_normal((NUM, 5)).astype(np.float32)
    labels = ((states[:, 0] > 0) ^ (states[:, 1] > 0)).astype(np.int64)
    problem = Problem(labels=labels, num_classes=2)
    coordinates = Coordinates.of(states.__getitem__, TRAIN, num=NUM, device=CPU)
    best = {}
    for name, fit in (("linear", linear.fit), ("mlp", mlp.fit)):
        probes = fit(coordinates, TRAIN, [problem])
        best[name] = answers(probes, TEST)[0].score.max()
    assert best["linear"] < 0.65
    assert best["mlp"] > 0.9


def test_a_seed_draws_the_weights_of_a_hidden_layer(
    states: np.ndarray, problems: list[Problem], fitted: linear.LinearProbes
) -> None:
    first, again, other = (
        next(mlp.fit(fitted.coordinates, slice(0, 199), problems[:1], seed=seed).log_probs(TEST))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
