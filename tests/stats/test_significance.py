"""The test of verdicts: by hand, against exact tests and scipy's, and in simulations."""

import math
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pytest
from scipy import special, stats

from lmcompare.stats.paired_bootstrap import Scores
from lmcompare.stats.significance import Difference, difference, pooled_spread

NUM_ARMS = 12


def scores(*score: Iterable[float], max_score: object = 1.0) -> Scores:
    """Of one model or several."""
    values = np.array([[*each] for each in score], dtype=np.float64)
    return Scores(
        score=values,
        max_score=np.broadcast_to(max_score, values.shape),
        seeds=tuple(range(len(values))),
    )


# one model or two each: the items alone


def test_one_model_that_is_right_or_wrong_is_mcnemars():
    """17 items that one gets right alone, and 5 that the other does."""
    ours = [1.0] * 17 + [0.0] * 5 + [1.0] * 11 + [0.0] * 7
    theirs = [0.0] * 17 + [1.0] * 5 + [1.0] * 11 + [0.0] * 7
    found = difference(scores(ours), scores(theirs))
    assert found.test == "McNemar"
    assert found.p() == pytest.approx(2 * sum(math.comb(22, n) for n in range(6)) / 2**22)
    assert found.p() == pytest.approx(stats.binomtest(17, 22).pvalue)
    twice = difference(scores(ours, ours), scores(theirs, theirs))
    assert twice.test == "items"
    assert twice.p() == pytest.approx(found.p(), abs=0.01), "the same question"


def exchanged(ours: Scores, theirs: Scores) -> float:
    """The share of all exchanges of the two arms' answers with a difference as large."""
    apart = (ours.score.mean(0) - theirs.score.mean(0))[None]
    coins = np.array([*product([-1, 1], repeat=apart.shape[1])])
    return float(np.mean(abs((coins * apart).sum(1)) >= abs(apart.sum()) - 1e-9))


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_items_are_tested_as_by_all_exchanges_and_no_more_boldly(num_seeds):
    draw = np.random.default_rng(num_seeds)
    exact, found = [], []
    for case in range(101):
        apart = draw.normal(case % 5 / 4, 1, (num_seeds, 13))
        ours, theirs = scores(*apart), scores(*draw.normal(0, 1, (num_seeds, 13)))
        exact.append(exchanged(ours, theirs))
        found.append(difference(ours, theirs).p())
    assert np.corrcoef(exact, found)[0, 1] > 0.99
    assert ((np.array(found) < 0.05) <= (np.array(exact) < 0.06)).all()
    assert 0.6 < np.mean(np.array(found) < 0.05) / np.mean(np.array(exact) < 0.05) <= 1


def test_many_items_are_tested_as_by_scipy():
    draw = np.random.default_rng(13)
    ours, theirs = draw.random(997) + 0.03, draw.random(997)
    expected = stats.ttest_rel(ours, theirs)
    found = difference(scores(ours), scores(theirs))
    assert 0.001 < found.p() < 0.5
    assert found.p() == pytest.approx(expected.pvalue, rel=0.05)
    low, high = expected.confidence_interval()
    assert (found.interval().low, found.interval().high) == pytest.approx((low, high), rel=0.05)


def test_a_difference_is_taken_on_the_same_items():
    """One is better by the same on each item, however different these are."""
    draw = np.random.default_rng(0).random(97)
    found = difference(scores(draw + 0.125), scores(draw)).interval()
    assert found.value == pytest.approx(0.125)
    assert found.high - found.low < 0.1
    apart = difference(scores(draw + 0.125), scores(draw[::-1])).interval()
    assert apart.high - apart.low > 0.14


@pytest.mark.parametrize("max_score", [3.0, 7.0])
def test_ratios_of_sums_have_the_error_of_the_delta_method(max_score):
    """As an F1, whose denominator counts what a model named: beside resampled ones."""
    draw = np.random.default_rng(3)
    wanted = draw.integers(1, 5, (2, 503)) + max_score
    one, two = draw.binomial(wanted[0].astype(int), 0.4), draw.binomial(wanted[1].astype(int), 0.5)
    found = difference(scores(one, max_score=wanted[0]), scores(two, max_score=wanted[1]))
    assert found.value == pytest.approx(one.sum() / wanted[0].sum() - two.sum() / wanted[1].sum())
    which = draw.integers(503, size=(2003, 503))
    resampled = one[which].sum(1) / wanted[0][which].sum(1)
    resampled -= two[which].sum(1) / wanted[1][which].sum(1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert (found.interval().low, found.interval().high) == pytest.approx((low, high), abs=0.004)


@pytest.mark.parametrize("answers", [[0.0, 1.0, 1.0], [0.5, 1.0, 0.0]])
@pytest.mark.parametrize("num_seeds", [1, 2, 3])
def test_arms_that_answer_alike_do_not_differ(answers, num_seeds):
    found = difference(scores(*[answers] * num_seeds), scores(*[answers] * num_seeds))
    assert found.p() == 1.0
    assert found.interval().low < 0 < found.interval().high, "and nobody knows of other items"


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5])
def test_no_difference_is_certain(num_seeds):
    """All right beside all wrong, of 17 items."""
    found = difference(scores(*[[1.0] * 17] * num_seeds), scores(*[[0.0] * 17] * num_seeds))
    assert 0 < found.p() < 0.05
    assert 0 < found.interval().low < found.interval().high == 1.0
    few = difference(scores(*[[1.0] * 2] * num_seeds), scores(*[[0.0] * 2] * num_seeds))
    assert few.p() > 0.05
    assert (few.interval().low, few.interval().high) == (-1.0, 1.0)


def test_two_seeds_are_about_these_models_alone():
    """However much they differ."""
    found = difference(scores([1.0] * 97, [0.0] * 97), scores([0.5] * 97, [0.0] * 97))
    assert found.test == "items"
    assert found.p() < 0.001


# three models or more each: seeds too


def apart(*values: float) -> Scores:
    """Models of which each has one value of all items."""
    return scores(*([value] * 20011 for value in values))


def test_of_seeds_alone_it_is_welchs_and_students():
    """No item differs from another, so that seeds are all that varies."""
    ours, theirs = (0.51, 0.50, 0.52, 0.47), (0.43, 0.45, 0.40)
    found = difference(apart(*ours), apart(*theirs))
    assert found.test == "items and seeds"
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    assert found.own.p(found.value) == pytest.approx(welch.pvalue, rel=0.01)
    others = (0.2, 0.3, 0.1)
    pooled = pooled_spread([apart(*ours), apart(*theirs), apart(*others)])
    assert pooled is not None
    assert pooled.degrees == 7
    variances = [np.var(each, ddof=1) for each in (ours, theirs, others)]
    assert pooled.variance == pytest.approx(np.dot([3, 2, 2], variances) / 7)
    beside = difference(apart(*ours), apart(*theirs), pooled=pooled)
    assert beside.pooled is not None
    student = stats.t(7).sf(beside.value / math.sqrt(pooled.variance * (1 / 4 + 1 / 3)))
    assert beside.pooled.p(beside.value) == pytest.approx(2 * student, rel=0.01)
    assert beside.p() == beside.pooled.p(beside.value) > found.p()


def test_seeds_that_differ_no_more_than_by_chance_leave_the_items_error():
    draw = np.random.default_rng(5)
    one, two = (draw.random((3, 2003)) < 0.5 for _ in range(2))
    found = difference(scores(*one), scores(*two))
    items = (one.mean(0) - two.mean(0)).std() / math.sqrt(2003)
    assert found.own.variance**0.5 == pytest.approx(items, rel=0.3)


def test_the_other_way_round_only_signs_change():
    draw = np.random.default_rng(7)
    for num_seeds in (1, 2, 3, 5):
        one, two = (scores(*draw.random((num_seeds, 31))) for _ in range(2))
        there, back = difference(one, two), difference(two, one)
        assert (there.value, there.p(), there.p(7)) == (-back.value, back.p(), back.p(7))
        assert there.interval(7).low == -back.interval(7).high


# in simulations


def answers(
    draw: np.random.Generator,
    *,
    spreads: Sequence[float],
    num_seeds: int,
    num_items: int,
    gains: Sequence[float] = (0.0,) * NUM_ARMS,
    level: float = 0.0,
    shared: float = 0.0,
) -> list[Scores]:
    """Right and wrong answers by chance to items that are hard or easy for all.

    Args:
        draw: the random numbers.
        spreads: of the seeds of each arm, in logits.
        num_seeds: of each arm.
        num_items: that all are asked.
        gains: by how much each arm is better, in logits.
        level: of all arms and items, in logits.
        shared: share of the variance between seeds that is the same in all arms.
    """
    hard = level + draw.standard_normal(num_items, dtype=np.float32)
    common = draw.standard_normal(num_seeds)
    arms = []
    for spread, gain in zip(spreads, gains, strict=False):
        own = math.sqrt(1 - shared) * draw.standard_normal(num_seeds) + math.sqrt(shared) * common
        chances = special.expit(hard + np.float32(gain + spread * own)[:, None])
        score = draw.random((num_seeds, num_items), dtype=np.float32) < chances
        arms.append(
            Scores(
                score=score.astype(np.float64),
                max_score=np.ones(score.shape),
                seeds=tuple(range(num_seeds)),
            )
        )
    return arms


def table(arms: Sequence[Scores]) -> list[Difference]:
    """All arms beside the first."""
    pooled = pooled_spread(arms)
    return [difference(arm, arms[0], pooled=pooled) for arm in arms[1:]]


def any_verdict(repeats: int, *, seed: int, tasks: int = 1, **how: object) -> float:
    """The share of tables with any verdict but ties."""
    draw = np.random.default_rng(seed)
    wrong = 0
    for _ in range(repeats):
        found = [each for _ in range(tasks) for each in table(answers(draw, **how))]  # type: ignore[arg-type]
        wrong += any(each.p(len(found)) < 0.05 for each in found)
    return wrong / repeats


def power(repeats: int, *, seed: int, gain: float, **how: object) -> float:
    """The share of arms that are better which win, where half of them are and the reference not."""
    draw = np.random.default_rng(seed)
    gains = [0.0] * (NUM_ARMS // 2) + [gain] * (NUM_ARMS // 2)
    won = 0
    for _ in range(repeats):
        found = table(answers(draw, gains=gains, **how))  # type: ignore[arg-type]
        won += sum(
            each.p(len(found)) < 0.05 and each.value > 0 for each in found[NUM_ARMS // 2 - 1 :]
        )
    return won / repeats / (NUM_ARMS // 2)


def test_arms_that_are_alike_seldom_win_or_lose():
    """In 2% of tables or so: in 353 of them 5% would be 18, and the level that is held is that."""
    spreads = [0.3] * NUM_ARMS
    assert any_verdict(353, seed=1, spreads=spreads, num_seeds=3, num_items=211) <= 0.05


def test_arms_that_are_better_win():
    spreads = [0.1] * NUM_ARMS
    found = power(23, seed=2, gain=1.0, spreads=spreads, num_seeds=3, num_items=401)
    assert found > 0.9


def test_intervals_of_differences_hold_together():
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(211):
        arms = answers(draw, spreads=[0.2] * 5, num_seeds=3, num_items=307)
        found = table(arms)
        held += not any(each.interval(len(found)).excludes(0) for each in found)
    assert held / 211 >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("num_items", [400, 2000])
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.3])
def test_the_level_is_held_over_a_table_of_twelve(spread, num_items):
    """The table of docs/statistics.md."""
    spreads = [spread] * NUM_ARMS
    assert any_verdict(1009, seed=5, spreads=spreads, num_seeds=3, num_items=num_items) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"spreads": [0.05, 0.5] * 6, "num_seeds": 3},
        {"spreads": [0.1, 0.3] * 6, "num_seeds": 3},
        {"spreads": [0.3] * NUM_ARMS, "num_seeds": 3, "level": -3.3},
        {"spreads": [0.3] * NUM_ARMS, "num_seeds": 3, "level": 3.3},
        {"spreads": [0.3] * NUM_ARMS, "num_seeds": 3, "shared": 0.5},
        {"spreads": [0.3] * NUM_ARMS, "num_seeds": 5},
        {"spreads": [0.3] * 2, "num_seeds": 3},
        {"spreads": [0.3] * 4, "num_seeds": 3, "tasks": 5},
        {"spreads": [0.3] * NUM_ARMS, "num_seeds": 3, "tasks": 5, "repeats": 199},
    ],
)
def test_the_level_is_held_elsewhere(how):
    assert any_verdict(**({"repeats": 401, "seed": 7, "num_items": 400} | how)) <= 0.05
