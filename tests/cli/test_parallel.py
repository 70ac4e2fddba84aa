"""Runs of a study side by side: the same runs, and none takes another down."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
import torch

from lmcompare.config.study import Planned
from lmcompare.runs.notes import NO_CHANGE
from lmcompare.runs.run import Run
from lmcompare.training import trainer
from lmcompare_cli import parallel
from tests.tiny import (
    COMMAND,
    Command,
    assert_equal,
    flags,
    tiny,
)


@pytest.mark.slow
def test_runs_side_by_side_are_the_runs_one_after_another(corpus: Path, command: Command) -> None:
    options = [*flags(corpus), "-o", "mlm", "--seed", "0", "--seed", "1"]
    alone = command("train", *options, "--out", "alone")
    together = command("train", *options, "--out", "together", "--parallel", "2")
    assert (alone.code, together.code) == (0, 0), together.err
    one, two = ([Run(Path(line)) for line in said.out.split()] for said in (alone, together))
    names = [[run.path.name for run in runs] for runs in (one, two)]
    assert sorted(names[0]) == sorted(names[1])
    assert len(names[0]) == 2
    for left in one:
        (right,) = [run for run in two if run.path.name == left.path.name]
        assert_equal(left, right)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "the memory of this machine is too small"),
        (ZeroDivisionError("x"), "this is a fault of lmcompare, ZeroDivisionError: x"),
    ],
)
def test_what_nobody_foresaw_ends_one_run(
    corpus: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(trainer, "train", fails)
    monkeypatch.delenv("LMCOMPARE_TRACEBACK", raising=False)
    monkeypatch.setattr(parallel, "_ending", Event(), raising=False)
    planned = Planned(arm="clm", config=tiny(corpus))
    ended = parallel._train(planned, tmp_path, False, NO_CHANGE, cache)
    assert ended.error.startswith(said)
    assert ended.exit_code == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_first_process_ends_them_all(
    corpus: Path, tmp_path: Path, cache: Path, number: signal.Signals
) -> None:
    """Also where it reaches no other, as of `kill` or a scheduler: what is done is saved."""
    options = [*flags(corpus, budget="1000000 steps"), "-o", "mlm", "--seed", "0", "--seed", "1"]
    options += ["--seed", "2", "--seed", "3", "--out", "there", "--parallel", "2"]
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", *map(str, options)],
        cwd=tmp_path,
        env={**os.environ, "LMCOMPARE_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while len([*tmp_path.glob("there/*/*/metrics.jsonl")]) < 2 and process.poll() is None:
                time.sleep(0.1)
            process.send_signal(number)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == -number, err
    assert out == ""
    runs = [Run(path) for path in tmp_path.glob("there/*/*")]
    assert len(runs) in (2, 3), "those that wait are left, but for one that a process had in hand"
    states = sorted(run.state() for run in runs)
    assert states[-2:] == ["stopped", "stopped"]
    assert sum(bool([*run.path.glob("checkpoint/*")]) for run in runs) >= 2, err
