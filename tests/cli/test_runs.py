"""`lmcompare runs` as a user meets it."""

import json
import shutil
from pathlib import Path

import pytest

from lmcompare.runs.run import Run
from lmcompare_cli.stopping import Stop
from tests.terminals import be_terminal
from tests.tiny import Command, flags, the_error


@pytest.fixture
def study(command: Command, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, a stopped one, and one that no step was made of."""
    command("train", "-o", "clm", *flags(corpus))
    with monkeypatch.context() as patched:
        patched.setattr(Stop, "__call__", lambda stop: True)
        command("train", "-o", "mlm", *flags(corpus, budget="4 steps"))
        command("train", "-o", "mlm", *flags(corpus, budget="1k steps"), "--arm", "new")
    study = Path("experiments/default")
    (new,) = study.glob("new-*")
    Run(new).metrics_file.unlink()
    shutil.rmtree(Run(new).checkpoints)
    return study


def test_the_table_is_whole_when_piped(command: Command, study: Path) -> None:
    said = command("runs")
    assert said.code == 0
    head, *rows = said.out.splitlines()
    assert head.split() == ["run", "state", "step", "of", "budget", "loss", "validation"]
    names = sorted(str(path) for path in study.iterdir())
    assert [row.split()[0] for row in rows] == names
    assert [row.split()[1:3] for row in rows] == [
        ["finished", "3"],
        ["stopped", "1"],
        ["stopped", "0"],
    ]
    assert "100% of 3 steps" in rows[0]
    assert "25% of 4 steps" in rows[1]
    assert rows[2].endswith("—           —")
    assert said.err == ""


def test_a_narrow_terminal_folds_and_loses_nothing(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_terminal(monkeypatch, 70)
    lines = command("runs").out.splitlines()
    assert max(map(len, lines)) <= 70
    assert "…" not in "".join(lines)
    shown = {line.split()[0] for line in lines if line} - {"run"}
    assert shown == {str(path) for path in study.iterdir()}
    heads = " ".join(line for line in lines if line.startswith("run ")).split()
    assert [head for head in heads if head != "run"] == [
        *("state", "step", "of", "budget", "loss", "validation")
    ]


def test_json(command: Command, study: Path) -> None:
    rows = json.loads(command("runs", "--format", "json").out)
    assert [(row["arm"], row["state"], row["step"]) for row in rows] == [
        ("clm", "finished", 3),
        ("mlm", "stopped", 1),
        ("new", "stopped", 0),
    ]
    finished, _, new = rows
    assert finished["share"] == 1
    assert finished["loss"] == Run(Path(finished["run"])).last_metrics().loss  # type: ignore[union-attr]
    assert (new["loss"], new["validation"], new["share"]) == (None, None, 0)


def test_places(command: Command, study: Path) -> None:
    (first,) = study.glob("clm-*")
    assert len(command("runs", first).out.splitlines()) == 2
    assert len(command("runs", study, first).out.splitlines()) == 4
    assert command("runs", "--out", "experiments").out == command("runs").out


def test_a_broken_run_is_left_out_and_said(command: Command, study: Path) -> None:
    broken, *_ = sorted(study.iterdir())
    (broken / "run.json").write_text("{")
    said = command("runs")
    assert said.code == 0
    assert len(said.out.splitlines()) == 3
    (line,) = said.err.splitlines()
    assert line.startswith(f"left out: {broken}/run.json is no valid RunRecord")


def test_broken_metrics_are_said_too(command: Command, study: Path) -> None:
    broken, *_ = sorted(study.iterdir())
    (broken / "metrics.jsonl").write_text("{}\n")
    said = command("runs", "--format", "json")
    assert len(json.loads(said.out)) == 2
    assert "metrics.jsonl has changed since it was written" in said.err


def test_no_run(command: Command) -> None:
    assert "start one with `lmcompare train`" in the_error(command("runs"))
    Path("experiments").mkdir()
    assert "experiments holds no run yet" in the_error(command("runs"))
