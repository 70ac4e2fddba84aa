"""A run comes out the same however often it is interrupted."""

import json
import math
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.objectives import OBJECTIVES
from lmcompare.runs import checkpoints
from lmcompare.runs.records import MetricsLine
from lmcompare.training import events, trainer
from tests.tiny import COMMAND, SETTINGS, Trainer, assert_equal, outcome, tiny


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        *((objective, ()) for objective in OBJECTIVES),
        ("hybrid", ('objective.schedule="in-turn"',)),
        ("ul2", ("runtime.precision=bfloat16", "batch.separate_documents=true")),
        ("clm", ("runtime.precision=bfloat16",)),
        ("mlm", ("optimizer.ema=0.9",)),
        ("mlm", ("runtime.precision=bfloat16", "optimizer.ema=0.9", "runtime.micro_batch=3")),
        ("clm", ("objective=mlm", "objective.final_rate=0.5", "batch.separate_documents=true")),
    ],
)
def test_ten_steps_and_ten_are_twenty(
    corpus: Path, train: Trainer, objective: str, settings: tuple[str, ...]
) -> None:
    config = tiny(corpus, objective, *settings)
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    run = train(config, stop_at=10)
    assert run.done() is None
    assert run.state() == "stopped"
    train(config)
    assert "continuing from step 10" in train.messages
    assert_equal(run, whole)
    assert [line["step"] for line in outcome(run).metrics] == list(range(1, 21))


def test_any_number_of_interruptions(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "mlm", "validation.times=5")
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    for step in (1, 2, 7, 13, 19):
        train(config, stop_at=step)
    assert_equal(train(config), whole)


def test_a_step_that_is_stopped_within_is_done_again(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "mlm", "runtime.micro_batch=1", "optimizer.ema=0.9")
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    run, asked = train.place(config), count(1)
    text = trainer.read_text(config, cache=train.cache)
    with pytest.raises(events.Interrupted, match="stopped at step 2, which is saved"):
        # asked once after the first step, and after each of the four rows of those that follow
        trainer.train(
            config, run, text, arm="mlm", report=lambda _: None, should_stop=lambda: next(asked) > 6
        )
    assert_equal(train(config), whole)


def test_where_it_is_saved_changes_nothing(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus)
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    run = train(config, stop_at=5)
    other = tiny(corpus, "clm", "runtime.save_every=3", "runtime.keep=4")
    assert other.identity == config.identity
    assert_equal(train(other, run=run), whole)


def test_a_killed_run_goes_on_as_if_nothing_had_been(
    corpus: Path, train: Trainer, cache: Path
) -> None:
    """Killed without warning at step 12, five steps after its last checkpoint."""
    config = tiny(corpus, "clm")
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    run = train.place(config)
    kill = (
        "import os, signal; from lmcompare.runs.run import Run; add = Run.add_metrics\n"
        "def adding(run, line):\n"
        "    add(run, line)\n"
        "    if line.step == 12: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Run.add_metrics = adding\n"
    )
    settings = [f"--set={setting}" for setting in SETTINGS]
    killed = subprocess.run(
        [
            *(sys.executable, "-c", kill + COMMAND, "train", "-o", "clm", "--data", corpus),
            *("--budget", "20 steps", "--out", run.path.parents[1], "--study", "study"),
            *settings,
        ],
        env={**os.environ, "LMCOMPARE_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(run.metrics_file.read_text().splitlines()) == 12
    assert run.state() == "stopped", "a dead process holds nothing"
    train(config)
    assert "continuing from step 7" in train.messages
    assert_equal(run, whole)


def test_lines_after_the_checkpoint_are_done_again_once(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus)
    run = train(config, stop_at=10)
    lines = run.metrics_file.read_text()
    after = MetricsLine.model_validate_json(lines.splitlines()[-1]).model_copy(update={"step": 11})
    run.metrics_file.write_text(lines + after.model_dump_json() + "\n" + '{"step": 12, "tok')
    train(config)
    steps = [json.loads(line)["step"] for line in run.metrics_file.read_text().splitlines()]
    assert steps == list(range(1, 21))


def test_ended_after_the_last_step_but_before_it_was_said(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus)
    run = train(config)
    before = run.done()
    run.done_file.unlink()
    after = train(config).done()
    assert before is not None
    assert after is not None
    assert (after.loss, after.validation) == (before.loss, before.validation)
    assert after.spent == before.spent
    assert math.isfinite(after.loss)


def test_the_final_loss_is_the_mean_over_the_last_tenth(corpus: Path, train: Trainer) -> None:
    run = train(tiny(corpus))
    losses = [line["loss"] for line in outcome(run).metrics]
    assert outcome(run).loss == pytest.approx(sum(losses[18:]) / 2)


def test_missing_metrics_are_not_passed_over(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus)
    run = train(config, stop_at=10)
    run.metrics_file.unlink()
    with pytest.raises(UserError, match=r"metrics\.jsonl is missing: bring it back"):
        train(config)


def test_a_broken_line_of_metrics_is_said(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus)
    run = train(config, stop_at=10)
    run.metrics_file.write_bytes(b"\xff\x00\n" + run.metrics_file.read_bytes())
    with pytest.raises(UserError, match=r"metrics\.jsonl has changed since it was written"):
        train(config)


def test_lines_reach_the_disk_before_the_checkpoint_that_counts_on_them(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, save = files.sync, checkpoints.save
    monkeypatch.setattr(files, "sync", lambda path: (done.append(path.name), sync(path)))
    monkeypatch.setattr(
        checkpoints, "save", lambda *given, **more: (done.append("save"), save(*given, **more))
    )
    train(tiny(corpus, "clm", "budget=3 steps"))
    assert done[:2] == ["metrics.jsonl", "save"]
