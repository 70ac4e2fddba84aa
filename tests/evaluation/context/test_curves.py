"""How far a context must reach, by hand."""

import numpy as np
import pytest

from lmcompare.evaluation.context.curves import ContextAnswers, effective_length
from lmcompare.evaluation.context.record import ContextItem, ContextRecord

DISTANCES = (0, 1, 2, 4, 8, 11)


@pytest.mark.parametrize(
    ("lost", "expected", "beyond"),
    [
        ([1.0, 0.0, 0.0, 0.0, 0.0], 0.95, False),  # all of it from the nearest token
        ([2.0, 1.0, 0.5, 0.1, 0.0], 4.0, False),  # 1.9 of 2 nats exactly there
        ([2.0, 1.0, 0.5, 0.2, 0.0], 4 + 4 * 0.5, False),  # from 1.8 to 2.0, half of the way
        ([2.0, 1.0, 0.5, 0.4, 0.2], 8.0, True),  # more than that, beyond the last distance
        ([2.0, -0.1, 0.5, 0.4, 0.2], 1.9 / 2.1, False),  # the first time counts
    ],
)
def test_the_length_is_that_of_95_percent(lost: list[float], expected: float, beyond: bool) -> None:
    value, more = effective_length(np.array(lost), DISTANCES)
    assert float(value) == pytest.approx(expected)
    assert bool(more) == beyond


def answers(*gains: list[float], seeds: int = 1) -> ContextAnswers:
    """Models that lose so much of each text, the same with every seed."""
    items = [
        ContextItem(
            text=number // 2,
            nats=1.0,
            lost={"cut left": tuple(each)},
            moved={"cut left": tuple(each)},
            gradient_right=None,
        )
        for number, each in enumerate(gains)
    ]
    record = ContextRecord(
        arm="x",
        seed=0,
        source="validation",
        text="cafe",
        step=1,
        reach=11,
        distances=DISTANCES,
        num_tokens=len(items),
        num_curve_tokens=len(items),
        num_changed_tokens=len(items),
        num_texts=len(items) // 2,
        scoring="causal",
        likelihood="exact",
        given="left",
        gain={"left": 1.0, "right": 0.0},
    )
    records = [record.model_copy(update={"seed": seed}) for seed in range(seeds)]
    return ContextAnswers(records=records, items=[items] * seeds)


def test_the_mean_is_over_tokens_and_the_interval_over_texts() -> None:
    one = [1.0, 0.0, 0.0, 0.0, 0.0]
    two = [3.0, 0.0, 0.0, 0.0, 0.0]
    apart = answers(one, one, two, two, one, one, two, two).mean("lost", "left")
    mixed = answers(one, two, one, two, one, two, one, two).mean("lost", "left")
    assert (apart.mean, mixed.mean) == (2.0, 2.0)
    assert apart.half_width is not None
    assert apart.half_width > 1, "two texts of each kind"
    assert mixed.half_width == pytest.approx(0), "all texts are alike"


def test_what_gains_nothing_has_no_length() -> None:
    up, down = [1.0, 0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0, 0.0]
    assert answers(up, up, down, down, up, up, down, down).effective_length("left") is None
    assert answers(up, up, up, up).effective_length("left") is not None


def test_a_side_that_is_not_seen_has_no_curve_and_a_gain_of_0() -> None:
    found = answers([1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0])
    nothing = found.mean("lost", "right")
    assert (nothing.mean, nothing.low, nothing.high) == (0.0, 0.0, 0.0)
    assert found.curve("lost", "cut", "right") == []
    assert len(found.curve("lost", "cut", "left")) == 5
    assert found.gradient_right() is None
    assert found.effective_length("right") is None


def test_seeds_that_agree_make_no_interval_wider() -> None:
    gains = [[2.0, 1.0, 0.5, 0.1, 0.0], [2.2, 1.0, 0.5, 0.1, 0.0]] * 7
    one = answers(*gains).effective_length("left")
    three = answers(*gains, seeds=3).effective_length("left")
    assert one is not None
    assert three is not None
    assert (three.value, three.low, three.high) == pytest.approx((one.value, one.low, one.high))
