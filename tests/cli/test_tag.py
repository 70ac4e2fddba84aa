"""Tags and comments as a user gives them: to `train`, and to runs that there are."""

import json
from pathlib import Path

import pytest

from lmcompare.runs.run import Run
from tests.conftest import values
from tests.tiny import Command, TrainOnce, flags, the_error


def notes_of(path: Path) -> tuple[tuple[str, ...], str]:
    notes = Run(path).notes()
    return notes.tags, notes.comment


@pytest.mark.parametrize("parallel", values("1", slow=["2"]))
def test_training_tags_all_its_runs(command: Command, corpus: Path, parallel: str) -> None:
    """Finished runs too, beside the tags that they have; the command is the same otherwise."""
    train = ("train", "-o", "clm", *flags(corpus), "--seed", "1", "--seed", "2")
    side_by_side = ("--parallel", parallel)
    said = command(*train, "--tag", "b", "--tag", "a", "--comment", "one", *side_by_side)
    assert said.code == 0
    runs = [Path(line) for line in said.out.splitlines()]
    assert [notes_of(path) for path in runs] == [(("a", "b"), "one")] * 2
    again = command(*train, "--tag", "c")
    assert again.out.splitlines() == sorted(map(str, runs))
    assert [notes_of(path) for path in runs] == [(("a", "b", "c"), "one")] * 2


def test_a_bad_tag_is_said_before_training(command: Command, corpus: Path) -> None:
    error = the_error(command("train", "-o", "clm", *flags(corpus), "--tag", "two words"))
    assert "'two words' is no tag" in error
    assert not Path("experiments").exists()


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    train_once("-o", "clm", *flags(corpus))
    train_once("-o", "mlm", *flags(corpus))
    return Path("experiments/default")


def test_runs_of_a_study_are_tagged_and_shown(command: Command, study: Path) -> None:
    clm, mlm = sorted(study.iterdir())
    said = command("tag", "default", "--add", "x", "--add", "y", "--comment", "both")
    assert (said.code, said.err) == (0, "")
    assert [line.split() for line in said.out.splitlines()] == [
        ["run", "tags", "comment"],
        [str(clm), "x", "y", "both"],
        [str(mlm), "x", "y", "both"],
    ]
    command("tag", mlm, "--remove", "x", "--comment", "")
    assert json.loads(command("tag", study, "--format", "json").out) == [
        {"run": str(clm), "tags": ["x", "y"], "comment": "both"},
        {"run": str(mlm), "tags": ["y"], "comment": ""},
    ]


def test_nothing_is_written_where_anything_is_wrong(command: Command, study: Path) -> None:
    clm, mlm = sorted(study.iterdir())
    command("tag", clm, "--add", "baseline")
    error = the_error(command("tag", study, "--add", "new", "--remove", "baseln"))
    assert "none of these runs has the tag 'baseln': did you mean 'baseline'?" in error
    (mlm / "notes.json").write_text("{")
    error = the_error(command("tag", study, "--add", "new"))
    assert f"{mlm}/notes.json is no valid RunNotes" in error
    assert notes_of(clm) == (("baseline",), "")


def test_what_a_terminal_would_obey_is_shown(command: Command, study: Path) -> None:
    comment = "\x1b[31mred\n<script>alert(1)</script>\x07"
    said = command("tag", study, "--comment", comment)
    assert r"\x1b[31mred\n<script>alert(1)</script>\x07" in said.out
    found = json.loads(command("tag", study, "--format", "json").out)
    assert {each["comment"] for each in found} == {comment}
