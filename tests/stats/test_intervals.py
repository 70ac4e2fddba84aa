"""Intervals, tests and corrections: against scipy's, by hand, and in simulations."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmcompare.stats import paired_bootstrap
from lmcompare.stats.intervals import (
    Estimate,
    error_interval,
    mean_interval,
    sidak,
)
from lmcompare.stats.paired_bootstrap import Interval, Scores, resample
from lmcompare.stats.share_intervals import share


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=13),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_the_interval_is_students(values, level):
    estimate = mean_interval(values, level=level)
    mean = sum(values) / len(values)
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    assert estimate.num == len(values)
    assert estimate.mean == pytest.approx(mean, abs=1e-9)
    assert estimate.low == pytest.approx(mean - half, abs=1e-8)
    assert estimate.high == pytest.approx(mean + half, abs=1e-8)


def test_one_value_has_no_interval():
    estimate = mean_interval([3.5])
    assert estimate == Estimate(mean=3.5, low=None, high=None, num=1)
    assert estimate.half_width is None
    assert estimate.overlaps(mean_interval([1, 2])) is None


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=13), st.sampled_from([0.5, 0.95]))
def test_the_interval_of_an_error_is_that_of_a_mean(values, level):
    mean = mean_interval(values, level=level)
    found = error_interval(mean.mean, float(stats.sem(values)), len(values), level=level)
    assert (found.low, found.high) == pytest.approx((mean.low, mean.high), abs=1e-8)
    assert (found.mean, found.num) == (mean.mean, 1)


def test_what_is_no_number_has_no_interval():
    assert mean_interval([1.0, math.inf]) == Estimate(mean=math.inf, low=None, high=None, num=2)


@pytest.mark.parametrize(
    ("low", "overlap"), [(0.0, True), (2.0, True), (2.1, False), (-2.1, False)]
)
def test_overlap(low, overlap):
    one = Estimate(mean=1.0, low=0.0, high=2.0, num=2)
    other = Estimate(mean=low + 1, low=low, high=low + 2, num=2)
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def test_an_interval_holds_the_mean_as_often_as_it_says():
    rng = stats.norm(loc=5, scale=2)
    draws = rng.rvs(size=(2000, 3), random_state=0)
    held = sum(e.low <= 5 <= e.high for e in map(mean_interval, draws))  # type: ignore[operator]
    assert 0.935 < held / 2000 < 0.965


def scores(*score: Iterable[float], max_score: object = 1.0, seeds: Iterable[int] = ()) -> Scores:
    """Of one model or several, by default with the seeds 0, 1, ..."""
    values = np.array([[*each] for each in score], dtype=np.float64)
    return Scores(
        score=values,
        max_score=np.broadcast_to(max_score, values.shape),
        seeds=tuple(seeds) or tuple(range(len(values))),
    )


def of(*arms: Scores) -> list[paired_bootstrap.BootstrapSample]:
    return resample(arms)


# a correction for many comparisons


def test_sidak_by_hand():
    assert sidak(0.5, 2) == pytest.approx(0.75)
    assert sidak(0.01, 1) == pytest.approx(0.01)
    assert sidak(1e-18, 250) == pytest.approx(2.5e-16), "the smallest are not lost"
    assert (sidak(0.0, 3), sidak(1.0, 3)) == (0.0, 1.0)


@given(st.floats(0, 1), st.integers(1, 997))
def test_sidak_is_between_none_and_bonferroni(p, num):
    assert p * (1 - 1e-12) <= sidak(p, num) <= min(1.0, num * p * (1 + 1e-12))


def test_sidak_finds_a_difference_where_there_is_none_as_rarely_as_it_says():
    draws = np.random.default_rng(3).random((2003, 7))
    wrong = np.mean([sidak(float(row.min()), 7) < 0.05 for row in draws])
    assert 0.035 < wrong < 0.065


# intervals over items and seeds


def test_an_interval_over_items_is_that_of_many_of_them():
    answers = (np.arange(1009) % 5 == 0).astype(float)
    [found] = of(scores(answers))
    low, high = stats.norm(answers.mean(), answers.std() / math.sqrt(1009)).interval(0.95)
    assert found.interval.value == answers.mean()
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=0.003)
    assert found.standard_error == pytest.approx(answers.std() / math.sqrt(1009), rel=0.05)


def test_the_value_is_of_sums_and_the_mean_of_seeds():
    [found] = of(scores([1, 2, 0], [0, 2, 3], max_score=[2, 3, 5]))
    assert found.by_seed.tolist() == [0.3, 0.5]
    assert found.value == 0.4


def test_what_is_possible_is_resampled_with_what_was_gained():
    """All have the same ratio, so every resample has; and where nothing is possible it is 0."""
    max_score = np.arange(1, 18, dtype=float)
    [found] = of(scores(0.25 * max_score, max_score=max_score))
    assert found.interval == Interval(value=0.25, low=0.25, high=0.25)
    [none] = of(scores([0, 0, 0], max_score=0.0))
    assert none.interval == Interval(value=0, low=0, high=0)


@pytest.mark.parametrize("answer", [0, 1])
def test_all_right_or_all_wrong_is_not_certain(answer):
    """Wilson's interval, by its formula."""
    [found] = of(scores([answer] * 17, max_score=np.array([1] * 17)))
    z = stats.norm.ppf(0.975)
    far = z**2 / (17 + z**2)
    low, high = (1 - far, 1) if answer else (0, far)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.interval.value == answer
    [more] = of(scores([*[answer] * 17, 0], max_score=np.array([1] * 17 + [0])))
    assert more.interval == found.interval, "where nothing can be gained nothing is learned"


@pytest.mark.parametrize("right", [0.0, 0.1, 0.6, 1.0])
def test_a_share_without_resampling_is_about_that_of_resamples(right):
    possible = np.random.default_rng(7).integers(0, 4, 397).astype(float)
    gained = np.random.default_rng(8).binomial(possible.astype(int), right).astype(float)
    answers = scores(gained, max_score=possible)
    one, [other] = share(answers), of(answers)
    assert one.value == pytest.approx(other.value)
    ends = (other.interval.low, other.interval.high)
    assert (one.low, one.high) == pytest.approx(ends, abs=0 if right in (0, 1) else 0.005)
    assert 0 <= one.low < one.high <= 1


def test_what_is_possible_may_differ_between_models():
    """As in an F1, whose denominator counts what a model named."""
    one, two = of(scores([1, 0], max_score=[2, 2]), scores([1, 0], max_score=[1, 1]))
    assert (one.value, two.value) == (0.25, 0.5)
    assert two.drawn == pytest.approx(2 * one.drawn)


def test_pieces_of_work_change_no_result(monkeypatch):
    answers = scores(np.random.default_rng(0).random(31))
    [whole] = of(answers)
    monkeypatch.setattr(paired_bootstrap, "NUMBERS_AT_ONCE", 7 * 31)
    assert of(answers)[0].drawn == pytest.approx(whole.drawn, rel=1e-12)


def test_fewer_than_three_seeds_leave_items_alone():
    right = [1.0] * 13
    wrong = [0.0] * 13
    [two] = of(scores(right, wrong))
    assert two.interval == Interval(value=0.5, low=0.5, high=0.5)
    [three] = of(scores(right, wrong, wrong))
    assert three.interval.low == 0
    assert three.interval.high == 1


def test_of_seeds_alone_the_interval_is_students():
    """No item differs from another, so that seeds are all that varies."""
    values = [0.51, 0.5, 0.52, 0.47]
    [found] = of(scores(*([value] * 11 for value in values)))
    estimate = mean_interval(values)
    assert found.value == pytest.approx(estimate.mean)
    assert found.interval.low == pytest.approx(estimate.low, abs=0.003)
    assert found.interval.high == pytest.approx(estimate.high, abs=0.003)


def test_seeds_that_differ_make_it_wider_than_items_alone():
    stream = np.random.default_rng(2)
    answers = (stream.random((5, 503)) < np.array([[0.4], [0.5], [0.6], [0.7], [0.3]])).astype(
        float
    )
    [crossed] = of(scores(*answers))
    items_alone = np.quantile(crossed.drawn.mean(1), [0.025, 0.975])
    assert crossed.interval.high - crossed.interval.low > 4 * np.diff(items_alone)


def test_seeds_that_differ_no_more_than_by_chance_leave_items_alone():
    """20, 21 and 20 right of 41, and each time others."""
    right = [np.roll([1.0] * num + [0.0] * (41 - num), 13 * num) for num in (20, 21, 20)]
    [found] = of(scores(*right))
    items_alone = np.quantile(found.drawn.mean(1), [0.025, 0.975]).tolist()
    assert [found.interval.low, found.interval.high] == pytest.approx(items_alone)


@pytest.mark.parametrize(
    ("num_seeds", "spread", "lowest"),
    [
        pytest.param(1, 0.0, 0.93, marks=pytest.mark.slow),
        pytest.param(3, 0.0, 0.93, marks=pytest.mark.slow),
        (3, 0.8, 0.9),
        pytest.param(5, 0.8, 0.93, marks=pytest.mark.slow),
    ],
)
def test_an_interval_over_items_and_seeds_holds_the_value(num_seeds, spread, lowest):
    """Answers by chance, to items that are hard or easy for all, of seeds that are good or bad."""
    stream = np.random.default_rng(11)

    def chances(seeds: int, items: int) -> np.ndarray:
        hard, good = stream.normal(0, 1, items), stream.normal(0, spread, (seeds, 1))
        return 1 / (1 + np.exp(-(hard + good)))

    held = 0
    for repeat in range(503):
        right = stream.random((num_seeds, 101)) < chances(num_seeds, 101)
        seeds = [repeat * num_seeds + number for number in range(num_seeds)]
        [found] = resample([scores(*right.astype(float), seeds=seeds)], num=211)
        held += not found.interval.excludes(0.5)  # as all is symmetric
    assert lowest <= held / 503 <= 0.985
