"""Intervals, tests and corrections: against scipy's, by hand, and in simulations."""

import math
from collections.abc import Iterable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmcompare import pairing
from lmcompare.pairing import Interval, Scores, paired_test, resample
from lmcompare.statistics import Estimate, error_interval, holm, mean_interval


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


def scores(*gained: Iterable[float], possible: object = 1.0, seeds: Iterable[int] = ()) -> Scores:
    """Of one model or several, by default with the seeds 0, 1, ..."""
    values = np.array([[*each] for each in gained], dtype=np.float64)
    return Scores(
        gained=values,
        possible=np.broadcast_to(possible, values.shape),
        seeds=tuple(seeds) or tuple(range(len(values))),
    )


def of(*arms: Scores) -> list[pairing.Resampled]:
    return resample(arms)


# Holm's correction


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.017]) == [0.017]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=13))
def test_holm_keeps_the_order_and_is_between_none_and_bonferroni(p_values):
    corrected = holm(p_values)
    assert sorted(range(len(p_values)), key=lambda n: (p_values[n], n)) == sorted(
        range(len(p_values)), key=lambda n: (corrected[n], p_values[n], n)
    )
    for p, after in zip(p_values, corrected, strict=True):
        assert p <= after <= min(1.0, len(p_values) * p) + 1e-12


def test_holm_finds_a_difference_where_there_is_none_as_rarely_as_it_says():
    draws = np.random.default_rng(3).random((2003, 7))
    wrong = np.mean([min(holm(row.tolist())) < 0.05 for row in draws])
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
    [found] = of(scores([1, 2, 0], [0, 2, 3], possible=[2, 3, 5]))
    assert found.by_seed.tolist() == [0.3, 0.5]
    assert found.value == 0.4


def test_what_is_possible_is_resampled_with_what_was_gained():
    """All have the same ratio, so every resample has; and where nothing is possible it is 0."""
    possible = np.arange(1, 18, dtype=float)
    [found] = of(scores(0.25 * possible, possible=possible))
    assert found.interval == Interval(value=0.25, low=0.25, high=0.25)
    [none] = of(scores([0, 0, 0], possible=0.0))
    assert none.interval == Interval(value=0, low=0, high=0)


@pytest.mark.parametrize("answer", [0, 1])
def test_all_right_or_all_wrong_is_not_certain(answer):
    """Wilson's interval, by its formula."""
    [found] = of(scores([answer] * 17, possible=np.array([1] * 17)))
    z = stats.norm.ppf(0.975)
    far = z**2 / (17 + z**2)
    low, high = (1 - far, 1) if answer else (0, far)
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.interval.value == answer
    [more] = of(scores([*[answer] * 17, 0], possible=np.array([1] * 17 + [0])))
    assert more.interval == found.interval, "where nothing can be gained nothing is learned"


def test_what_is_possible_may_differ_between_models():
    """As in an F1, whose denominator counts what a model named."""
    one, two = of(scores([1, 0], possible=[2, 2]), scores([1, 0], possible=[1, 1]))
    assert (one.value, two.value) == (0.25, 0.5)
    assert two.drawn == pytest.approx(2 * one.drawn)


def test_pieces_of_work_change_no_result(monkeypatch):
    answers = scores(np.random.default_rng(0).random(31))
    [whole] = of(answers)
    p = paired_test(answers, scores(np.random.default_rng(1).random(31))).p
    monkeypatch.setattr(pairing, "NUMBERS_AT_ONCE", 7 * 31)
    assert of(answers)[0].drawn == pytest.approx(whole.drawn, rel=1e-12)
    assert paired_test(answers, scores(np.random.default_rng(1).random(31))).p == p


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
    [(1, 0.0, 0.93), (3, 0.0, 0.93), (3, 0.8, 0.9), (5, 0.8, 0.93)],
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


# one arm beside another


def test_a_difference_is_taken_on_the_same_items():
    """One is better by the same on each item, however different these are."""
    first = np.random.default_rng(0).random(97)
    one, two = of(scores(first), scores(first / 2 + 0.25))
    three, four = of(scores(first + 0.125), scores(first))
    difference = three.minus(four)
    assert (difference.low, difference.high) == pytest.approx((0.125, 0.125))
    assert one.minus(two).excludes(one.value)


def test_seeds_that_two_arms_share_stand_beside_their_own():
    """Each seed is better by the same: what varies between seeds is none of the difference."""
    values = np.array([0.3, 0.5, 0.7])
    ours, theirs, others = (
        scores(*([value + more] * 11 for value in values), seeds=seeds)
        for more, seeds in ((0.125, (0, 1, 2)), (0.0, (0, 1, 2)), (0.0, (3, 4, 5)))
    )
    one, two, three = of(ours, theirs, others)
    shared, apart = one.minus(two), one.minus(three)
    assert (shared.low, shared.high) == pytest.approx((0.125, 0.125))
    assert apart.value == pytest.approx(0.125)
    assert apart.high - apart.low > 0.5


def test_of_a_difference_only_its_own_spread_over_seeds_counts():
    """Each seed of one arm does as well as that of the other, on items that it finds unlike."""
    values = (10, 20, 30)
    one, two = of(
        scores(*([num / 40] * 40 for num in values)),
        scores(*([1.0] * num + [0.0] * (40 - num) for num in values)),
    )
    difference = one.minus(two)
    items_alone = np.quantile((one.drawn - two.drawn).mean(1), [0.025, 0.975]).tolist()
    assert [difference.low, difference.high] == pytest.approx(items_alone)


def enumerated(ours: Scores, theirs: Scores) -> float:
    """The share of all exchanges with a difference that is as large."""
    arms = [ours.gained, ours.possible, theirs.gained, theirs.possible]
    ours_gained, ours_possible, gained, possible = (each.mean(0) for each in arms)
    found = []
    for coins in product([False, True], repeat=len(gained)):
        turned = np.array(coins)
        one = np.where(turned, gained, ours_gained).sum()
        one /= np.where(turned, possible, ours_possible).sum()
        other = np.where(turned, ours_gained, gained).sum()
        other /= np.where(turned, ours_possible, possible).sum()
        found.append(abs(one - other))
    return float(np.mean(np.array(found) >= found[0] - 1e-12))


@pytest.mark.parametrize("case", range(7))
def test_the_permutation_test_is_that_of_all_exchanges(case):
    stream = np.random.default_rng(case)
    num_seeds, num_items = (1 + case % 3, 11)
    ours = stream.integers(0, 4, (num_seeds, num_items)) + 2.0 * (case > 3)
    theirs = stream.integers(0, 4, (num_seeds, num_items))
    possible = stream.integers(4, 8, num_items) if case % 2 else 4
    more = stream.integers(0, 3, num_items) if case == 5 else 0
    one, other = scores(*ours, possible=possible + more), scores(*theirs, possible=possible)
    found = paired_test(one, other)
    assert found.test == "permutation"
    assert found.p == pytest.approx(enumerated(one, other), abs=0.02)
    assert found.p == pytest.approx(paired_test(other, one).p, abs=0.02)


def test_the_permutation_test_is_scipys():
    stream = np.random.default_rng(13)
    ours, theirs = stream.random(307) + 0.01, stream.random(307)
    expected = stats.permutation_test(
        (ours, theirs),
        lambda one, two, axis: one.mean(axis) - two.mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=4_999,
        rng=np.random.default_rng(0),
    )
    found = paired_test(scores(ours), scores(theirs))
    assert 0.05 < found.p < 0.5
    assert found.p == pytest.approx(expected.pvalue, abs=0.025)


def test_p_is_uniform_where_nothing_differs():
    stream = np.random.default_rng(17)
    found = []
    for _ in range(401):
        easy = stream.random(61)
        ours, theirs = (easy + stream.random((3, 61)) for _ in range(2))
        found.append(paired_test(scores(*ours), scores(*theirs)).p)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert 0.03 < np.mean(np.array(found) < 0.05) < 0.075


def test_seeds_of_an_item_are_exchanged_together():
    """What is one answer given three times says no more than once."""
    ours, theirs = [1.0] * 5 + [0.0], [0.0] * 5 + [1.0]
    once = enumerated(scores(ours), scores(theirs))
    thrice = paired_test(scores(ours, ours, ours), scores(theirs, theirs, theirs))
    assert thrice.p == pytest.approx(once, abs=0.02)


def test_one_model_that_is_right_or_wrong_is_mcnemars():
    """17 items that one gets right alone, and 5 that the other does."""
    ours = [1.0] * 17 + [0.0] * 5 + [1.0] * 11 + [0.0] * 7
    theirs = [0.0] * 17 + [1.0] * 5 + [1.0] * 11 + [0.0] * 7
    found = paired_test(scores(ours), scores(theirs))
    assert found.test == "McNemar"
    assert found.p == pytest.approx(2 * sum(math.comb(22, n) for n in range(6)) / 2**22)
    assert found.p == pytest.approx(stats.binomtest(17, 22).pvalue)
    twice = paired_test(scores(ours, ours), scores(theirs, theirs))
    assert twice.test == "permutation"
    assert twice.p == pytest.approx(found.p, abs=0.006), "the same question by a coin"


@pytest.mark.parametrize("answers", [[0.0, 1.0, 1.0], [0.5, 1.0, 0.0]])
def test_arms_that_answer_alike_do_not_differ(answers):
    assert paired_test(scores(answers), scores(answers)).p == 1.0


def test_a_tie_of_one_item_is_no_matter_of_right_or_wrong():
    assert paired_test(scores([0.5, 1.0]), scores([1.0, 0.0])).test == "permutation"
