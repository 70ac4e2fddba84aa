"""Other work on the machine shows in a run's own steps."""

import pytest

from lmcompare.runs.contention import FEWEST, Pace
from lmcompare.runs.records import MetricsLine


def lines(seconds: list[float]) -> list[MetricsLine]:
    """Steps that take so long, alike in what they compute."""
    total, found = 0.0, []
    for step, each in enumerate(seconds, start=1):
        total += each
        found.append(
            MetricsLine(
                step=step,
                tokens=step,
                targets=step,
                flops=1000 * step,
                seconds=total,
                loss=1,
                learning_rate=1,
                gradient_norm=1,
            )
        )
    return found


def test_a_run_that_was_disturbed_is_told_what_it_would_have_taken() -> None:
    pace = Pace(lines([0.5] * 53 + [5.0] * 47))
    assert pace.undisturbed_seconds == pytest.approx(50)


@pytest.mark.parametrize(
    "seconds",
    [
        [0.5] * 101,
        [9.0, 4.0, 3.0] + [0.5] * 97,  # slow to start
        [0.4, 0.5, 0.6, 0.7] * 25,  # objectives whose steps vary
        [0.5] * (FEWEST // 3) + [5.0] * (FEWEST // 3),  # too few to say
        [],
    ],
)
def test_one_that_was_not_is_not(seconds: list[float]) -> None:
    assert Pace(lines(seconds)).undisturbed_seconds is None


def test_steps_without_a_target_say_nothing() -> None:
    several = lines([0.5] * 50)
    same = [
        line.model_copy(update={"flops": 1000 * (number // 2)})
        for number, line in enumerate(several)
    ]
    assert Pace(same).undisturbed_seconds is None


def test_it_is_said_while_it_lasts() -> None:
    pace = Pace()
    heard = [pace.add(line) for line in lines([0.5] * 100 + [5.0] * 60 + [0.5] * 60)]
    assert not any(heard[:100])
    assert heard[150]
    assert not heard[-1]
