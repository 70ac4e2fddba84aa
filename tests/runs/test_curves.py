"""What had been spent on a run when it had learned something."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lmcompare.config.budget import Spent
from lmcompare.errors import UserError
from lmcompare.runs.curves import (
    METRICS,
    Curve,
    CurvePoint,
    NotReached,
    Reached,
    read_curve,
)
from lmcompare.runs.run import Run
from tests.tiny import Trainer, tiny


@pytest.fixture
def run(train: Trainer, corpus: Path) -> Run:
    return train(tiny(corpus, "clm", "budget=20 steps", "validation.times=5"))


def with_values(curve: Curve, values: Sequence[float], tokens: Sequence[int]) -> Curve:
    points = [
        CurvePoint(spent=Spent(steps=number, tokens=each), value=value)
        for number, (value, each) in enumerate(zip(values, tokens, strict=True), start=1)
    ]
    return replace(curve, values={"common": points})


def test_a_curve_is_what_was_logged(run: Run) -> None:
    curve = read_curve(run)
    lines = list(run.metrics())
    assert curve.finished
    assert [point.spent for point in curve.points("validation")] == [
        line.spent for line in lines if line.step % 4 == 0
    ]
    for metric in ("validation", "common"):
        assert [point.value for point in curve.points(metric)] == [
            getattr(line, metric) for line in lines if line.step % 4 == 0
        ]
    assert [point.value for point in curve.points("loss")] == [
        pytest.approx(line.loss) for line in lines
    ]
    assert (curve.scoring, curve.given) == ("causal", "left")


def test_the_loss_of_many_steps_is_a_mean_over_their_targets(run: Run) -> None:
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    many, targets = [], 0
    for number in range(300):
        step = number % 3  # of each stretch: 1 target of loss 1, none, 3 of loss 5
        targets += (1, 0, 3)[step]
        changed = {"step": number + 1, "targets": targets, "loss": (1.0, 99.0, 5.0)[step]}
        many.append(lines[0] | changed)
    run.done_file.unlink()
    shutil.rmtree(run.checkpoints)
    run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in many))
    points = read_curve(run).points("loss")
    assert [point.value for point in points] == [4.0] * 100
    assert [point.spent.steps for point in points] == [*range(3, 301, 3)]


def test_a_quality_is_reached_between_two_points(run: Run) -> None:
    curve = with_values(read_curve(run), [5.0, 4.0, 4.5, 2.0], [10, 1000, 2000, 3000])
    assert curve.reach(4.0, "tokens") == Reached(spent=pytest.approx(1000))
    assert curve.reach(4.5, "tokens") == Reached(spent=pytest.approx(100))  # of 10 and 1000
    assert curve.reach(3.25, "tokens") == Reached(spent=pytest.approx((2000 * 3000) ** 0.5))
    assert curve.reach(2.0, "tokens") == Reached(spent=pytest.approx(3000))


def test_nothing_is_said_beyond_the_points(run: Run) -> None:
    curve = with_values(read_curve(run), [5.0, 4.0, 4.5], [10, 1000, 2000])
    assert curve.reach(3.9, "tokens") == NotReached(last=4.5)
    assert curve.reach(5.0, "tokens") == Reached(spent=10, at_most=True)
    assert curve.reach(9.0, "tokens") == Reached(spent=10, at_most=True)
    assert with_values(curve, [], []).reach(1.0, "tokens") == NotReached(last=None)


def test_what_was_free_until_a_point_has_no_logarithm(run: Run) -> None:
    curve = with_values(read_curve(run), [5.0, 3.0], [0, 500])
    assert curve.reach(4.0, "tokens") == Reached(spent=pytest.approx(250))


def test_a_run_of_an_earlier_version_has_no_answers(run: Run) -> None:
    folder = Path(__file__).with_name("schema_3")
    (path,) = folder.iterdir()
    curve = read_curve(Run(path))
    assert not curve.points("common")
    assert curve.reach(1.0, "flops") == NotReached(last=None)
    assert curve.points("validation")
    assert curve.points("loss")


def test_an_unfinished_run_has_the_curve_of_its_last_checkpoint(
    train: Trainer, corpus: Path
) -> None:
    run = train(tiny(corpus, "mlm", "validation.times=10"), stop_at=9)
    curve = read_curve(run)
    assert not curve.finished
    assert curve.state == "stopped"
    assert [point.spent.steps for point in curve.points()] == [2, 4, 6, 8]
    assert curve.given == "both"


def test_only_answers_to_one_question_compare(train: Trainer, corpus: Path) -> None:
    short = "budget=1 steps"
    one, same, other = (
        read_curve(train(tiny(corpus, *each)))
        for each in (
            ("clm", short),
            ("mlm", short, "seed=1"),
            ("clm", short, "validation.blocks=2"),
        )
    )
    assert one.question == same.question != other.question


@pytest.mark.parametrize("metric", METRICS)
def test_a_run_that_was_never_validated_has_its_loss(
    train: Trainer, corpus: Path, metric: str
) -> None:
    curve = read_curve(train(tiny(corpus, "clm", "validation.times=0", "budget=2 steps")))
    assert bool(curve.points(metric)) == (metric == "loss")  # type: ignore[arg-type]


def test_damaged_metrics_are_refused(run: Run) -> None:
    lines = run.metrics_file.read_text()
    run.metrics_file.write_text(lines.replace("loss", "lost", 1))
    with pytest.raises(UserError, match="has changed since it was written"):
        read_curve(run)
