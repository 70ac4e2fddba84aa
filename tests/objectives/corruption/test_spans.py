"""The laws of spans: how many tokens, how long, and where."""

from collections import Counter
from itertools import combinations
from math import exp, factorial

import pytest
import torch
from scipy.stats import chisquare

from lmcompare import rng
from lmcompare.objectives.corruption.spans import (
    Spans,
    alternating,
    compositions,
    n_grams,
    runs,
    scattered,
)
from tests.conftest import values
from tests.objectives.cases import alike


def some(rows: int, length: int, *, specials: float = 0.0) -> torch.Tensor:
    """Candidates, with some tokens among them that are none; the first one never is."""
    draws = torch.Generator().manual_seed(5)
    candidates = torch.rand(rows, length, generator=draws) >= specials
    candidates[:, 0] = False
    return candidates


def each_alike(rows: int, length: int) -> torch.Tensor:
    return torch.ones(rows, length, dtype=torch.bool)


def lengths_of(spans: Spans, row: int) -> list[int]:
    """Of each span of a row, by its number; 0 where it is empty."""
    numbers = spans.number[row][spans.covered[row]].tolist()
    return [numbers.count(number) for number in range(1, int(spans.total[row]) + 1)]


def begins_of(spans: Spans, row: int) -> list[int]:
    """Where a span begins: at a covered token whose number no covered one before it has."""
    seen, found = set(), []
    for place, covered in enumerate(spans.covered[row].tolist()):
        number = int(spans.number[row, place])
        if covered and number not in seen:
            found.append(place)
            seen.add(number)
    return found


def drawn_scattered(
    rows: int, length: int, *, rate: float, mean: float = 3.0, shortest: int = 1, seed: int = 0
) -> Spans:
    item = torch.arange(length).repeat(rows, 1)
    candidates, stream = each_alike(rows, length), rng.generator("test", seed)
    return scattered(item, candidates, rate, stream, mean=mean, shortest=shortest)


def test_runs_are_spans() -> None:
    covered = torch.rand(101, 23) < 0.5
    spans = runs(covered)
    for row in range(101):
        expected, number = [], 0
        for place, here in enumerate(covered[row].tolist()):
            number += here and (place == 0 or not covered[row, place - 1])
            expected.append(number)
        assert spans.number[row].tolist() == expected
        assert spans.total[row] == number
        starts = [i for i in range(23) if expected[i] > ([0, *expected][i])]
        assert spans.begins[row].nonzero().flatten().tolist() == starts


def test_compositions_are_uniform() -> None:
    total, parts = torch.full((6007,), 6), torch.full((6007,), 3)
    found = Counter(map(tuple, compositions(total, parts, rng.generator("test")).tolist()))
    cuts = combinations(range(1, 6), 2)
    assert set(found) == {(first, second - first, 6 - second) for first, second in cuts}
    assert alike([*found.values()])


def test_compositions_of_rows_side_by_side() -> None:
    total, parts = torch.tensor([7, 1, 5, 11]), torch.tensor([3, 1, 5, 2])
    for seed in range(11):
        lengths = compositions(total, parts, rng.generator("test", seed))
        assert torch.equal(lengths.sum(1), total)
        assert torch.equal((lengths > 0).sum(1), parts)
        for row in range(4):
            assert (lengths[row, : int(parts[row])] > 0).all(), "zeros come last"


@pytest.mark.parametrize("roll", [False, True])
def test_alternating_spans_cover_exactly_so_many_candidates(roll: bool) -> None:
    """Numbers that do not fit are taken as the nearest that do."""
    candidates = some(211, 29, specials=0.2)
    count = candidates.sum(1)
    draws = torch.Generator().manual_seed(3)
    num_noise = torch.randint(0, 41, (211,), generator=draws)
    num_spans = torch.randint(1, 23, (211,), generator=draws)
    spans = alternating(candidates, num_noise, num_spans, rng.generator("test"), roll=roll)
    for row in range(211):
        noise = min(max(int(num_noise[row]), 1), int(count[row]) - 1)
        assert int(spans.covered[row].sum()) == noise
        assert not (spans.covered[row] & ~candidates[row]).any()
        segments = min(int(num_spans[row]), noise, int(count[row]) - noise)
        among = spans.covered[row][candidates[row]]
        begins = among & ~among.roll(1)
        if roll:
            assert int(begins.sum()) == segments, "counted around the turn"
        else:
            assert not among[0]
            assert among[-1]
            assert int(begins.sum()) == segments


def test_what_is_no_candidate_ends_a_span() -> None:
    """And one span over it becomes two."""
    candidates = some(101, 29, specials=0.2)
    count = candidates.sum(1)
    spans = alternating(candidates, count // 2, count // 6, rng.generator("test"))
    for row in range(101):
        expected = runs(spans.covered[row : row + 1])
        assert torch.equal(spans.number[row : row + 1], expected.number)
        assert spans.total[row] == expected.total[0]


def test_rolled_spans_that_meet_at_the_turn_remain_two() -> None:
    """The last token is covered and the first gap begins elsewhere: where rows turn, spans part."""
    candidates = each_alike(401, 7)
    three, two = torch.full((401,), 4), torch.full((401,), 2)
    spans = alternating(candidates, three, two, rng.generator("test"), roll=True)
    assert set(spans.total.tolist()) == {2, 3}
    for row in range(401):
        assert spans.begins[row].sum() == spans.total[row]


def test_every_token_is_covered_as_often_where_rows_are_rolled() -> None:
    """A single draw of each row, so that rows are independent: its first gap's first token."""
    candidates = each_alike(5003, 7)
    noise, one = torch.full((5003,), 3), torch.full((5003,), 1)
    spans = alternating(candidates, noise, one, rng.generator("test"), roll=True)
    gap = ~spans.covered & spans.covered.roll(1, dims=1)
    assert (gap.sum(1) == 1).all()
    assert alike(gap.sum(0))


@pytest.mark.parametrize("shortest", [0, 1])
@pytest.mark.parametrize("rate", [0.15, 0.3, 0.7])
def test_scattered_spans_cover_exactly_the_rate(shortest: int, rate: float) -> None:
    for length in (2, 5, 23, 101, 307):
        spans = drawn_scattered(13, length, rate=rate, shortest=shortest)
        assert (spans.covered.sum(1) == round(rate * length)).all()
        for row in range(13):
            lengths = lengths_of(spans, row)
            assert sum(lengths) == round(rate * length), "no two share an item"
            assert all(each >= shortest for each in lengths)


@pytest.mark.parametrize("shortest", [0, 1])
def test_lengths_are_of_poissons_law(shortest: int) -> None:
    """The first forty of each row, which never reach the last one, the one that is cut."""
    spans = drawn_scattered(211, 1009, rate=0.3, shortest=shortest)
    assert int(spans.total.min()) > 60
    lengths = torch.tensor([each for row in range(211) for each in lengths_of(spans, row)[:40]])
    law = [exp(-3) * 3**k / factorial(k) for k in range(shortest, 8)]
    whole = 1 - sum(exp(-3) * 3**k / factorial(k) for k in range(shortest))
    counts = torch.bincount(lengths, minlength=9)
    observed = [*counts[shortest:8].tolist(), int(counts[8:].sum())]
    share = [part / whole for part in law]
    expected = [len(lengths) * part for part in [*share, 1 - sum(share)]]
    assert chisquare(observed, expected).pvalue > 1e-4


@pytest.mark.parametrize("mean", values(12.0, 100.0, slow=[0.5, 32.0]))
@pytest.mark.parametrize("shortest", [0, 1])
def test_the_mean_length_is_the_one_that_was_set(mean: float, shortest: int) -> None:
    """Of the first eight spans of each row, which never reach the last one, the one that is cut."""
    spans = drawn_scattered(97, 10_007, rate=0.3, mean=mean, shortest=shortest)
    lengths = torch.tensor([each for row in range(97) for each in lengths_of(spans, row)[:8]])
    expected = mean / (1 - exp(-mean)) if shortest else mean
    assert abs(lengths.double().mean() - expected) < 4 * (mean / len(lengths)) ** 0.5


def test_arrangements_of_spans_are_alike() -> None:
    """Two of seven items: one span of two in 6 places, or two of one in the 21 pairs of items."""
    spans = drawn_scattered(9001, 7, rate=0.3)
    found: Counter[tuple[int, ...]] = Counter()
    for row in range(9001):
        places = spans.covered[row].nonzero().flatten().tolist()
        found[(*places, int(spans.total[row]))] += 1
    single = exp(-3) * 3 / (1 - exp(-3))  # a first span of one; any other is cut to two
    expected = {(i, i + 1, 1): (1 - single) / 6 for i in range(6)}
    expected |= {(*pair, 2): single / 21 for pair in combinations(range(7), 2)}
    assert set(found) == set(expected)
    observed = [found[key] for key in expected]
    assert chisquare(observed, [9001 * share for share in expected.values()]).pvalue > 1e-4


def test_empty_spans_stand_anywhere_too() -> None:
    """One of three items is covered: after e empty spans, in e + 3 places."""
    spans = drawn_scattered(9001, 3, rate=0.3, shortest=0)
    with_one = (spans.total == 2).nonzero().flatten().tolist()
    empty = exp(-3)
    assert len(with_one) / 9001 == pytest.approx(empty * (1 - empty), abs=0.01)
    found: Counter[tuple[tuple[int, ...], int]] = Counter()
    for row in with_one:
        assert lengths_of(spans, row) == [0, 1], "the last span drawn covers what is left"
        found[tuple(spans.number[row].tolist()), int(spans.covered[row].int().argmax())] += 1
    assert len(found) == 6, "two spans and two kept items, in any order"
    assert alike([*found.values()])


def test_spans_begin_where_their_numbers_say() -> None:
    for shortest in (0, 1):
        spans = drawn_scattered(53, 101, rate=0.5, shortest=shortest)
        for row in range(53):
            assert spans.begins[row].nonzero().flatten().tolist() == begins_of(spans, row)


def test_spans_may_touch() -> None:
    spans = drawn_scattered(53, 101, rate=0.5)
    assert sum(len(begins_of(spans, row)) for row in range(53)) == int(spans.total.sum())
    assert int(runs(spans.covered).total.sum()) < int(spans.total.sum())


def test_items_of_several_tokens_are_covered_as_wholes() -> None:
    draws = torch.Generator().manual_seed(5)
    item = (torch.rand(53, 101, generator=draws) < 0.6).long().cumsum(1)
    item = item - item[:, :1] - 1  # -1 for what stands before the first
    candidates = item >= 0
    spans = scattered(item, candidates, 0.3, rng.generator("test"), mean=3.0, shortest=1)
    assert not spans.covered[~candidates].any()
    for row in range(53):
        covered = set(item[row][spans.covered[row]].tolist())
        assert len(covered) == round(0.3 * (int(item[row].max()) + 1))
        assert spans.covered[row].tolist() == [each in covered for each in item[row].tolist()]


@pytest.mark.parametrize("shortest", [0, 1])
def test_what_is_no_candidate_ends_a_scattered_span(shortest: int) -> None:
    """Items are counted over candidates here, so that what is none lies between two of them."""
    candidates = some(53, 101, specials=0.2)
    item, stream = candidates.cumsum(1) - 1, rng.generator("test")
    spans = scattered(item, candidates, 0.5, stream, mean=3.0, shortest=shortest)
    for row in range(53):
        for number in spans.number[row][spans.covered[row]].unique().tolist():
            places = (spans.covered[row] & (spans.number[row] == number)).nonzero().flatten()
            assert places.tolist() == [*range(int(places[0]), int(places[-1]) + 1)]
        numbers = spans.number[row].tolist()
        assert numbers == sorted(numbers)
        assert numbers[-1] <= int(spans.total[row])


def test_rows_of_different_lengths_do_not_disturb_each_other() -> None:
    item = torch.arange(97).repeat(31, 1)
    size = torch.arange(31)[:, None] * 3
    candidates = item < size
    spans = scattered(item, candidates, 0.31, rng.generator("test"), mean=3.0, shortest=1)
    for row in range(31):
        assert int(spans.covered[row].sum()) == round(0.31 * 3 * row)
        assert not spans.covered[row, 3 * row :].any()
        assert len(begins_of(spans, row)) == int(spans.total[row])


def test_n_grams_choose_exactly_so_many_candidates() -> None:
    candidates = some(101, 53, specials=0.2)
    word = (torch.rand(101, 53) < 0.6).long().cumsum(1)
    num = torch.arange(101) % 61  # more than there are, at times
    chosen = n_grams(candidates, word, num, rng.generator("test"), longest=5)
    assert torch.equal(chosen.sum(1), num.minimum(candidates.sum(1)))
    assert not (chosen & ~candidates).any()


@pytest.mark.parametrize(("longest", "total"), [(29, 3.9950), (10**9, 21.3005)])
def test_n_grams_may_be_longer_than_a_row(longest: int, total: float) -> None:
    """Two of three words, by the whole law, whose sum of 1/n is `total`.

    The first and the last word are chosen together if all runs are of one word, in a third of the
    cases, or if the first run has two words, in half of them.
    """
    word, two = torch.arange(3).repeat(40_009, 1), torch.full((40_009,), 2)
    chosen = n_grams(word >= 0, word, two, rng.generator("test"), longest=longest)
    assert torch.equal(chosen.sum(1), two)
    apart = (chosen[:, 0] & chosen[:, 2]).double().mean().item()
    expected = (1 / total) ** 2 / 3 + (0.5 / total) / 2
    assert abs(apart - expected) < 4 * (expected / len(word)) ** 0.5


def test_n_grams_cover_every_place_alike() -> None:
    """A single word of each row, so that rows are independent."""
    word = torch.arange(7).repeat(7001, 1)
    one = torch.ones(7001, dtype=torch.int64)
    chosen = n_grams(word >= 0, word, one, rng.generator("test"), longest=1)
    assert alike(chosen.sum(0))
