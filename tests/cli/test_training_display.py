"""What is said while a run trains."""

import pytest

from lmcompare.config.budget import Spent
from lmcompare.runs.records import MetricsLine
from lmcompare.training import events
from lmcompare_cli.console import talk
from lmcompare_cli.rendering.progress import Sparkline, TrainingDisplay, clock


def event(step: int, **changes: object) -> events.Progress:
    line = MetricsLine(
        step=step,
        loss=2.0,
        learning_rate=1,
        gradient_norm=1,
        **Spent(tokens=1, targets=1, flops=1, seconds=1).model_dump(exclude={"steps"}),
    )
    settings = {
        "line": line,
        "share": 0.5,
        "tokens_per_second": 1000.0,
        "seconds_left": 90.0,
        "utilisation": 0.25,
    }
    return events.Progress(**(settings | changes))  # type: ignore[arg-type]


def test_a_log_has_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("lmcompare_cli.rendering.progress.monotonic", lambda: now[0])
    with TrainingDisplay() as display:
        for step in range(1, 31):
            now[0] += 1.0
            display(event(step))
        display(event(31, seconds_left=float("inf")))
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2
    assert shown[0].split("  ")[1:] == [
        " 50%",
        "step 11",
        "loss 2.000",
        "1,000 tokens/s, 25% of matmul rate, 1:30 left",
    ]


def test_a_line_about_validation_has_the_common_question(
    capsys: pytest.CaptureFixture[str],
) -> None:
    validated = event(1).line.model_copy(update={"validation": 3.5, "common": 4.25})
    with TrainingDisplay() as display:
        display(event(1, line=validated))
        display(event(2, line=validated.model_copy(update={"common": None})))
    with_it, without = capsys.readouterr().err.splitlines()
    assert "  validation 3.5000  common 4.2500  (" in with_it
    assert "  validation 3.5000  (" in without


def test_a_terminal_shows_how_the_loss_came_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "_force_terminal", True)
    with TrainingDisplay() as display:
        for step, loss in enumerate((8.0, 4.0, 1.0), start=1):
            display._loss = None  # without the smoothing
            display(event(step, line=event(step).line.model_copy(update={"loss": loss})))
        assert display._bar.tasks[0].fields["before"] == "step 3  loss 1.000 █▄▁"
    with monkeypatch.context() as piped:
        piped.setattr(talk, "_force_terminal", False)
        with TrainingDisplay() as display:
            display(event(1))
            assert display._bar.tasks[0].fields["before"] == "step 1  loss 2.000"


def test_sparks_span_the_whole_way() -> None:
    sparks = Sparkline()
    assert str(sparks) == ""
    sparks.add(3.0)
    assert str(sparks) == "▁"
    for number in range(1, 8):
        sparks.add(3.0 - number)
    assert str(sparks) == "█▇▆▅▄▃▂▁"
    long = Sparkline()
    for number in range(10_000):
        long.add(-float(number))
    assert len(str(long)) == 12
    assert str(long)[0] in "█▇"
    assert list(str(long)) == sorted(str(long), reverse=True)
    assert str(long)[-1] == "▁"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0:00"),
        (59.6, "1:00"),
        (75, "1:15"),
        (3600, "1:00:00"),
        (7384.4, "2:03:04"),
        (float("inf"), "?"),
        (float("nan"), "?"),
    ],
)
def test_durations(seconds: float, written: str) -> None:
    assert clock(seconds) == written
