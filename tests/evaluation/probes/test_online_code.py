"""An online code is as long as a plain loop says, and short where little data suffices."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from lmcompare.evaluation.probes.coordinates import Coordinates
from lmcompare.evaluation.probes.linear import STRENGTHS, Problem
from lmcompare.evaluation.probes.online_code import PORTIONS, codelengths, uniform_codelength

NUM, WIDTH, CLASSES = 4_003, 7, 5
PARTS = {"train": slice(0, 3_001), "validation": slice(3_001, NUM), "test": slice(NUM, NUM)}


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((NUM, WIDTH)).astype(np.float32)


def _lengths(states: np.ndarray, problems: list[Problem]) -> list[float]:
    coordinates = Coordinates.of(
        states.__getitem__, PARTS["train"], num=len(states), device=torch.device("cpu")
    )
    return codelengths(coordinates, PARTS, problems)


@pytest.fixture(scope="module")
def plain(states: np.ndarray) -> Problem:
    """Return labels that a linear map tells nearly always."""
    map_ = np.random.default_rng(4).standard_normal((WIDTH, CLASSES))
    return Problem(labels=(states @ map_).argmax(1), num_classes=CLASSES)


@pytest.fixture(scope="module")
def random() -> Problem:
    labels = np.random.default_rng(6).integers(0, CLASSES, NUM)
    return Problem(labels=labels, num_classes=CLASSES)


def test_what_the_states_tell_is_compressed_and_what_they_do_not_tell_is_not(
    states: np.ndarray, plain: Problem, random: Problem
) -> None:
    uniform = uniform_codelength(plain, PARTS["train"])
    assert uniform == pytest.approx(3_001 * np.log2(CLASSES))
    told, untold = _lengths(states, [plain, random])
    assert uniform / told > 8
    assert 0.85 < uniform / untold <= 1.0


def test_it_is_as_long_as_a_plain_loop_says(states: np.ndarray, plain: Problem) -> None:
    train, validation = PARTS["train"], PARTS["validation"]
    mean, spread = states[train].mean(0), states[train].std(0)
    x, labels = (states - mean) / spread, plain.labels
    ends = sorted({max(1, round(share * train.stop)) for share in PORTIONS})
    expected = ends[0] * np.log2(CLASSES)
    for known, end in pairwise(ends):
        if len({*labels[:known]}) < CLASSES:  # scikit-learn gives classes it never saw no column
            expected += (end - known) * np.log2(CLASSES)
            continue
        losses = []
        for strength in STRENGTHS:
            fitted = LogisticRegression(C=1 / (known * strength), max_iter=5_000).fit(
                x[:known], labels[:known]
            )
            found = [
                -log_softmax(fitted.decision_function(x[part]), axis=1)[
                    np.arange(len(x[part])), labels[part]
                ]
                for part in (validation, slice(known, end))
            ]
            losses.append((found[0].sum(), found[1].sum() / np.log(2)))
        expected += min(losses)[1]
    # labels that can be told without a fault are the hardest case: their weights grow for long
    assert _lengths(states, [plain])[0] == pytest.approx(expected, rel=0.25)


def test_labels_that_begin_late_are_sent_by_the_uniform_code_until_then(
    states: np.ndarray, plain: Problem
) -> None:
    start = 1_502  # after the last portion but one
    late = Problem(labels=np.where(np.arange(NUM) < start, -1, plain.labels), num_classes=CLASSES)
    uniform = (3_001 - start) * np.log2(CLASSES)
    assert _lengths(states, [plain, late])[1] == pytest.approx(uniform)
