"""What evaluation says while it runs where there is no terminal."""

import re
import signal
from pathlib import Path

import pytest

from lmcompare.runs.loaded_model import load_model
from lmcompare_cli.rendering import progress
from lmcompare_cli.rendering.progress import EvaluationDisplay, TrainingDisplay
from lmcompare_cli.signals import Ended
from tests.tiny import Command, flags


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that is set by hand."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def test_a_line_at_the_start_and_one_now_and_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with EvaluationDisplay(3) as display:
        display.begin(Path("here/clm-s0"), "likelihood")
        for second in range(1, 33):
            clock[0] = second
            display("causal", second / 40)
    start, *lines = capsys.readouterr().err.splitlines()
    assert start == "[1/3] here/clm-s0 likelihood"
    assert lines == [
        "   28%  causal  0:29 left",
        "   55%  causal  0:18 left",
    ]


def test_a_later_step_says_how_long_all_of_them_will_take(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with EvaluationDisplay(6) as display:
        for seconds in (0, 30, 100):
            clock[0] = seconds
            display.begin(Path("run"), "likelihood")
    assert capsys.readouterr().err.splitlines() == [
        "[1/6] run likelihood",
        "[2/6] run likelihood, about 2:30 left of all",
        "[3/6] run likelihood, about 3:20 left of all",
    ]


def test_work_that_reports_nothing_is_not_silent(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with EvaluationDisplay(1) as display:
        display.begin(Path("run"), "likelihood")
        for clock[0] in range(1, 30):
            display._remind()
        display("pll", 0.25)
        clock[0] = 41
        display._remind()
    with TrainingDisplay() as training:
        clock[0] = 60
        training._remind()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  likelihood, 0:11 so far",
        "  likelihood, 0:22 so far",
        "  pll, 0:41 so far",
        "  starting, 0:19 so far",
    ]


def test_nothing_is_said_after_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY", 0.001)
    with EvaluationDisplay(1) as display:
        while "so far" not in capsys.readouterr().err:
            pass
    display._reminder.join(timeout=60)
    assert not display._reminder.is_alive()


def test_another_part_has_a_time_of_its_own(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with EvaluationDisplay(1) as display:
        display.begin(Path("run"), "likelihood")
        clock[0] = 100
        display("pll", 1.0)
        display("pll-word", 0.01)
        clock[0] = 120
        display("pll-word", 0.5)
        assert display.kept(force=False) == (
            "interrupted in step 1 of 1: 1 result is kept, the same command continues"
        )
    assert capsys.readouterr().err.splitlines()[-1] == "   50%  pll-word  0:20 left"


def test_an_interruption_says_what_is_kept(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for objective in ("clm", "mlm"):
        assert command("train", "-o", objective, *flags(corpus, budget="2 steps")).code == 0
    study = Path("experiments/default")
    load, loaded = load_model, []

    def interrupted(*arguments: object, **options: object) -> object:
        loaded.append(arguments)
        if len(loaded) == 2:
            raise Ended(signal.SIGINT)
        return load(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr("lmcompare.runs.loaded_model.load_model", interrupted)
        said = command("eval", study, "--limit", "60")
    assert said.code == 130
    assert said.out == ""
    first, result, second, kept = said.err.splitlines()
    assert re.fullmatch(r"\[1/2\] experiments/default/clm-s0-\w{8} likelihood", first)
    assert re.fullmatch(r"  likelihood of validation \(causal, exact\): [\d.]+ bits/byte", result)
    assert re.fullmatch(
        r"\[2/2\] experiments/default/mlm-s0-\w{8} likelihood, about \d+:\d\d left of all", second
    )
    assert kept == "interrupted in step 2 of 2: 1 result is kept, the same command continues"
    assert len([*study.glob("*/eval/*.json")]) == 1
