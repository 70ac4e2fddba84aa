"""What is said while a run trains."""

import pytest

from lmcompare.config.budget import Spent
from lmcompare.runs.records import MetricsLine
from lmcompare.training import events
from lmcompare_cli.rendering.progress import TrainingDisplay, clock


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
