"""How budgets are written, what they count, and the learning rate over one."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.config.budget import Budget, Spent, parse_budget
from lmcompare.errors import UserError
from lmcompare.optim import OptimizerConfig, learning_rate


@pytest.mark.parametrize(
    ("written", "amount", "unit"),
    [
        ("500 steps", 500, "steps"),
        ("1 step", 1, "steps"),
        ("2M tokens", 2e6, "tokens"),
        ("2m tokens", 2e6, "tokens"),
        ("1.5k targets", 1500, "targets"),
        ("1.5e15 flops", 1.5e15, "flops"),
        ("3e+2 flops", 300, "flops"),
        ("2P FLOPs", 2e15, "flops"),
        ("3T flops", 3e12, "flops"),
        ("1B tokens", 1e9, "tokens"),
        ("1G tokens", 1e9, "tokens"),
        ("1_000 steps", 1000, "steps"),
        ("60 seconds", 60, "seconds"),
        ("60 s", 60, "seconds"),
        ("  7   second ", 7, "seconds"),
    ],
)
def test_spellings(written: str, amount: float, unit: str) -> None:
    assert Budget.model_validate(parse_budget(written)) == Budget(amount=amount, unit=unit)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("banana", "'banana' is not a budget: write an amount and a unit"),
        ("", "'' is not a budget"),
        ("500", "'500' is not a budget"),
        (500, "'500' is not a budget"),
        ("-5 steps", "'-5 steps' is not a budget"),
        ("steps 5", "is not a budget"),
        ("5 bananas", "no unit 'bananas': known: flops, seconds, steps, targets, tokens"),
        ("5 tokans", "no unit 'tokans': did you mean 'tokens'"),
        ("1.2.3 steps", "'1.2.3' in the budget '1.2.3 steps' is not a number"),
        ("_ steps", "'_' in the budget '_ steps' is not a number"),
    ],
)
def test_what_is_no_budget(written: object, complaint: str) -> None:
    with pytest.raises(UserError, match=re.escape(complaint)):
        parse_budget(written)


@pytest.mark.parametrize(
    "amount", [1, 999, 1000, 1500, 2e6, 1.5e9, 3e15, 0.5, 60, 2.5e3, 123_000_000]
)
@pytest.mark.parametrize("unit", ["steps", "tokens", "flops", "seconds"])
def test_what_is_written_is_read_again(amount: float, unit: str) -> None:
    budget = Budget(amount=amount, unit=unit)
    assert Budget.model_validate(parse_budget(str(budget))) == budget


def test_progress_is_counted_in_its_own_unit() -> None:
    spent = Spent(steps=1, tokens=2, targets=3, flops=4, seconds=5)
    for number, unit in enumerate(("steps", "tokens", "targets", "flops", "seconds"), start=1):
        assert Budget(amount=8, unit=unit).progress(spent) == number / 8
    assert Budget(amount=2, unit="flops").progress(spent) == 2, "more than all is not hidden"


def test_costs_add_up() -> None:
    one = Spent(steps=1, tokens=2, targets=3, flops=4, seconds=0.5)
    assert one.plus(Spent(steps=1, tokens=2, targets=3, flops=4, seconds=0.5)) == Spent(
        steps=2, tokens=4, targets=6, flops=8, seconds=1.0
    )


def rates(**settings: object) -> list[float]:
    config = OptimizerConfig.model_validate({"learning_rate": 2.0, "warmup": 0.1} | settings)
    return [learning_rate(config, step / 100) for step in range(1, 131)]


def falls(values: list[float]) -> bool:
    return all(later < before for before, later in pairwise(values))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "constant"])
def test_the_rate_rises_in_a_straight_line_and_ends_where_it_should(schedule: str) -> None:
    found = rates(schedule=schedule, final=0.25)
    assert found[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert max(found) == pytest.approx(2.0)
    last = 2.0 if schedule == "constant" else 0.5
    assert found[99:] == pytest.approx([last] * 31), "and stays there when the budget is overrun"


def test_how_the_rate_falls() -> None:
    cosine, linear, wsd, constant = (
        rates(schedule=schedule, final=0)[9:100]
        for schedule in ("cosine", "linear", "wsd", "constant")
    )
    assert falls(cosine)
    assert falls(linear)
    assert cosine[45] == pytest.approx(1.0), "half of the way down half of the way through"
    assert linear[45] == pytest.approx(1.0)
    assert cosine[20] > linear[20]
    assert cosine[70] < linear[70]
    assert wsd[:71] == pytest.approx([2.0] * 71)
    assert falls(wsd[71:])
    assert wsd[81] == pytest.approx(0.9), "in a straight line over the last fifth"
    assert constant == [2.0] * 91


def test_no_warmup_begins_at_the_top() -> None:
    assert rates(warmup=0, schedule="linear", final=0)[0] == pytest.approx(1.98)


@given(
    st.sampled_from(["cosine", "linear", "wsd", "constant"]),
    st.floats(0, 0.8),
    st.floats(0, 1),
    st.floats(0, 2),
)
def test_a_rate_is_never_negative_nor_above_the_highest(
    schedule: str, warmup: float, final: float, progress: float
) -> None:
    config = OptimizerConfig.model_validate(
        {"learning_rate": 3.0, "schedule": schedule, "warmup": warmup, "final": final}
    )
    rate = learning_rate(config, progress)
    assert math.isfinite(rate)
    assert 0 <= rate <= 3.0 + 1e-9
