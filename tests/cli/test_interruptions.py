"""Runs that a signal stops, that another process holds, or that are slowed down."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

from lmcompare.runs import checkpoints
from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run
from lmcompare.training import events
from lmcompare_cli import signals
from lmcompare_cli.rendering.progress import TrainingDisplay
from lmcompare_cli.stopping import Stop
from tests.conftest import values
from tests.tiny import COMMAND, Command, Trainer, flags, the_error


@pytest.mark.parametrize("number", values(signal.SIGTERM, slow=[signal.SIGINT]))
def test_a_signal_saves_and_then_ends_the_process_and_the_run_goes_on(
    corpus: Path, cache: Path, tmp_path: Path, train: Trainer, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", "-o", "clm", *flags(corpus, budget="1M steps")],
        cwd=tmp_path,
        env={**os.environ, "LMCOMPARE_CACHE": str(cache), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = started(tmp_path, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == -number, err
    assert out == ""
    assert "stopping and saving the steps that are done; once more to stop at once" in err
    (step,) = [
        int(line.split()[3].rstrip(",")) for line in err.splitlines() if "stopped at step" in line
    ]
    assert "the same command goes on" in err
    found = checkpoints.latest(run.checkpoints, warn=pytest.fail)
    assert found is not None
    assert found.record.spent.steps == step
    assert run.state() == "stopped"
    train(run.record().config, run=run, stop_at=step + 1)
    assert f"continuing from step {step}" in train.messages


def started(folder: Path, process: "subprocess.Popen[str]") -> Run:
    """The run that a process trains, once it has done a step."""
    while process.poll() is None:
        for metrics in folder.glob("experiments/default/*/metrics.jsonl"):
            if metrics.stat().st_size:
                return Run(metrics.parent)
        sleep(0.05)
    raise AssertionError(process.communicate())


def test_an_interrupted_force_says_how_to_go_on(
    command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stop, "__call__", lambda stop: True)  # as if a signal had come
    said = command("train", "-o", "clm", *flags(corpus, budget="1k steps"))
    assert said.code == 130
    assert "stopped at step 1, which is saved; the same command goes on" in said.err
    said = command("train", "-o", "clm", *flags(corpus, budget="1k steps"), "--force")
    assert "the same command without --force goes on" in said.err


def test_the_second_signal_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop() as stop:
        with pytest.raises(signals.Ended):  # nothing has begun that could be saved
            signal.raise_signal(signal.SIGINT)
        assert not stop()
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(signals.Ended):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) == before


HOLD = (
    "import sys; from pathlib import Path; from lmcompare.runs.run import Run\n"
    "with Run(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
)


def test_what_another_process_trains_is_passed_over(command: Command, corpus: Path) -> None:
    seeds = ("--seed", "0", "--seed", "1", "--seed", "2")
    (other,) = command("train", "-o", "clm", *flags(corpus), "--seed", "1").out.splitlines()
    shutil.rmtree(other)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, other],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said = command("train", "-o", "clm", *flags(corpus), *seeds)
        alone = command("train", "-o", "clm", *flags(corpus), "--seed", "1")
        process.kill()
    assert said.code == 0
    assert len(said.out.splitlines()) == 2
    assert other not in said.out
    assert f"passed over: the run {other} is being written by a live process" in said.err
    last = said.err.splitlines()[-1]
    assert last == f"2 of 3 runs are finished; in the hands of other processes: {other}"
    assert "wait for it, or stop it first" in the_error(alone), "nothing else was asked for"


def test_a_run_that_other_work_slows_down_is_told_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = MetricsLine(
        step=3,
        tokens=5,
        targets=5,
        flops=7,
        seconds=11,
        loss=1,
        learning_rate=1,
        gradient_norm=1,
        validation=2,
    )
    event = events.Progress(
        line=line,
        share=0.5,
        tokens_per_second=13,
        seconds_left=17,
        utilisation=0.01,
        disturbed=True,
    )
    TrainingDisplay()(event)
    assert "1% of matmul rate: other work is running" in capsys.readouterr().err
