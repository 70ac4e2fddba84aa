"""Which examples a task learns from, and which it holds out."""

from collections import Counter

import pytest

from lmcompare.evaluation.tasks import splits


def test_every_takes_whole_groups() -> None:
    letters = ["aa", "ab", "ba", "ca", "cb", "da", "ea"]
    rest, taken = splits.every(letters, 2, of=lambda each: each[0])
    assert rest == ["aa", "ab", "ca", "cb", "ea"]
    assert taken == ["ba", "da"]


def test_validation_comes_off_the_training_examples_where_there_is_none() -> None:
    numbers = list(range(1, 31))
    found = splits.held_out(numbers, [], of=lambda each: each)
    assert found["validation"] == [10, 20, 30]
    assert found["train"] == [each for each in numbers if each % 10]
    few = splits.held_out([1, 2, 3], [], of=lambda each: each)
    assert few == {"train": [1, 2], "validation": [3]}, "never none"
    more = splits.held_out(list(range(1, 7302)), [], of=lambda each: each)
    assert more["validation"] == list(range(15, 7302, 15)), "no more than are used"
    assert len(more["train"]) == 7301 - 486
    given = splits.held_out(numbers, [41, 43], of=lambda each: each)
    assert given == {"train": numbers, "validation": [41, 43]}
    many = splits.held_out(numbers, list(range(1009)), of=lambda each: each)["validation"]
    assert len(set(many)) == 500
    assert many[-1] > 1000


@pytest.mark.parametrize(
    ("num", "expected"),
    [
        (2, {"a": 1, "b": 1}),
        (3, {"a": 1, "b": 1, "c": 1}),
        (10, {"a": 6, "b": 3, "c": 1}),
        (100, {"a": 60, "b": 31, "c": 9}),
        (101, {"a": 61, "b": 31, "c": 9}),
        (None, {"a": 61, "b": 31, "c": 9}),
    ],
)
def test_a_draw_has_each_class_by_its_share(num: int | None, expected: dict[str, int]) -> None:
    examples = [f"{'a' * (each < 61) or 'b' * (each < 92) or 'c'}{each}" for each in range(101)]
    found = splits.drawn(examples, num, task="t", of=lambda each: each[0])
    assert Counter(each[0] for each in found) == expected
    assert len(set(found)) == len(found)
    assert found == splits.drawn(examples, num, task="t", of=lambda each: each[0])
    if num == 10:
        assert found != splits.drawn(examples, num, task="u", of=lambda each: each[0])
        assert found[:6] != examples[:6], "from all over"
