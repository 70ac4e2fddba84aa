"""`lmcompare runs` as a user meets it."""

import json
import shutil
from pathlib import Path

import pytest

from lmcompare.config.study import Planned
from lmcompare.runs.notes import NO_CHANGE
from lmcompare.runs.run import Run
from lmcompare.training import launch
from lmcompare_cli.stopping import Stop
from tests.terminals import be_terminal
from tests.tiny import Command, TrainOnce, flags, the_error, tiny


@pytest.fixture
def study(
    command: Command, train_once: TrainOnce, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A finished run, a stopped one, and one that no step was made of."""
    train_once("-o", "clm", *flags(corpus))
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


def listed(command: Command, *arguments: str | Path) -> list[str]:
    """The arms of the runs that are listed."""
    said = command("runs", *arguments, "--format", "json")
    assert said.code == 0, said
    return [row["arm"] for row in json.loads(said.out)]


CHOSEN: list[tuple[list[str], list[str]]] = [
    (["--objective", "mlm"], ["mlm", "new"]),
    (["--objective", "mlm", "--objective", "clm"], ["clm", "mlm", "new"]),
    (["--objective", "t5"], []),
    (["--study", "default"], ["clm", "mlm", "new"]),
    (["--arm", "new", "--arm", "clm"], ["clm", "new"]),
    (["--seed", "0"], ["clm", "mlm", "new"]),
    (["--state", "finished"], ["clm"]),
    (["--state", "unfinished"], ["mlm", "new"]),
    (["--state", "unfinished", "--arm", "new"], ["new"]),
    (["--state", "running"], []),
    (["--tag", "a"], ["clm", "mlm"]),
    (["--tag", "a", "--tag", "b"], ["mlm"]),
    (["--where", "batch.rows=4"], ["clm", "mlm", "new"]),
    (["--where", "batch.rows=32"], []),
    (["--where", "budget=1k steps"], ["new"]),
    (["--where", "objective.rate=0.15"], ["mlm", "new"]),
    (["--where", "objective.rate=0.15", "--where", "budget=4 steps"], ["mlm"]),
    (["--where", "objective.name=clm"], ["clm"]),
    (["--where", "optimizer.learning_rate=3e-3"], ["clm", "mlm", "new"]),
    (["--sort", "arm", "--reverse"], ["new", "mlm", "clm"]),
    (["--reverse"], ["new", "mlm", "clm"]),
    (["--sort", "step"], ["new", "mlm", "clm"]),
]


def test_runs_are_chosen_and_sorted(command: Command, study: Path) -> None:
    clm, mlm, _ = sorted(study.iterdir())
    command("tag", clm, mlm, "--add", "a")
    command("tag", mlm, "--add", "b", "--comment", "a comment")
    for arguments, arms in CHOSEN:
        assert listed(command, *arguments) == arms, arguments
    for by in ("loss", "validation"):  # what has none comes last, whichever way
        assert listed(command, "--sort", by)[-1] == "new"
        assert listed(command, "--sort", by, "--reverse")[-1] == "new"
    up, down = (listed(command, "--sort", "loss", *also) for also in ([], ["--reverse"]))
    assert up[:2] == down[1::-1]
    assert "tags" in command("runs").out.splitlines()[0].split()
    rows = json.loads(command("runs", "--columns", "arm, tags,comment", "--format=json").out)
    assert rows[1] == {"arm": "mlm", "tags": ["a", "b"], "comment": "a comment"}
    table = command("runs", "--columns", "arm,objective,seed", "--arm", "new").out.splitlines()
    assert [line.split() for line in table] == [["arm", "objective", "seed"], ["new", "mlm", "0"]]
    assert "no run is like that" in command("runs", "--objective", "t5").err


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--objective", "mlmm"], "no run has the objective 'mlmm': did you mean 'mlm'?"),
        (["--study", "dfault"], "no run has the study 'dfault': did you mean 'default'?"),
        (["--arm", "nev"], "did you mean 'new'?"),
        (["--seed", "7"], "no run has the seed '7': known: 0"),
        (["--state", "finishex"], "did you mean 'finished'?"),
        (["--tag", "a"], "no run has the tag 'a': there is none at all"),
        (["--sort", "los"], "there is no column 'los': did you mean 'loss'?"),
        (["--columns", "run,sed"], "there is no column 'sed': did you mean 'seed'?"),
        (["--where", "batch.row=3"], "there is no setting 'batch.row': did you mean 'batch.rows'?"),
        (["--where", "batch.rows"], "'batch.rows' sets nothing: write key=value"),
        (["--where", "batch.rows=x"], "batch.rows cannot be 'x'"),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest(
    command: Command, one_run: Path, arguments: list[str], answer: str
) -> None:
    assert answer in the_error(command("runs", one_run, *arguments))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: Path, cache: Path) -> Path:
    """A study of one run, whose arm is called new."""
    folder = tmp_path_factory.mktemp("kept") / "default"
    config = tiny(corpus, "mlm", "budget=2 steps")
    launch.train_each(
        [Planned(arm="new", config=config)],
        study=folder,
        cache=cache,
        again=False,
        notes=NO_CHANGE,
        report=lambda event: None,
        warn=pytest.fail,
        should_stop=lambda: False,
    )
    return folder


@pytest.fixture
def one_run(command: Command, trained: Path) -> Path:
    return trained


def test_a_run_in_phases_is_found_by_each_of_its_objectives(command: Command, corpus: Path) -> None:
    assert command("train", "--phase", "clm:50%", "--phase", "mlm", *flags(corpus)).code == 0
    assert command("train", "--objective", "mlm", *flags(corpus)).code == 0
    found = [
        [row["objective"] for row in json.loads(command("runs", *asked, "-f", "json").out)]
        for asked in ([], ["--objective", "clm"], ["--objective", "mlm"])
    ]
    assert found == [["clm, mlm", "mlm"], ["clm, mlm"], ["clm, mlm", "mlm"]]


def test_broken_runs_are_listed_with_what_is_wrong(command: Command, study: Path) -> None:
    clm, mlm, _ = sorted(study.iterdir())
    (clm / "run.json").write_text("{")
    (mlm / "notes.json").write_text("{")
    said = command("runs", "--state", "broken")
    assert (said.code, said.err) == (0, "")
    _, one, two = said.out.splitlines()
    assert one.split()[:2] == [str(clm), "broken"]
    assert "run.json is no valid RunRecord" in one
    assert "notes.json is no valid RunNotes" in two
    assert len(command("runs", "--state", "broken", "--state", "stopped").out.splitlines()) == 4
    shutil.rmtree(study / next(study.glob("new-*")).name)
    assert "none of the 2 runs can be read; the first: " in the_error(command("runs"))
