"""What a shell is offered, through the protocol that it speaks with the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from lmcompare.runs.notes import RunNotes
from lmcompare_cli.app import app
from tests import ROOT
from tests.test_docs import load

# The command line as a shell calls it; last on stderr, what was imported of what is slow.
CALL = (
    "import atexit, sys; sys.argv[0] = 'lmcompare'; "
    "slow = ('torch', 'pandas', 'scipy', 'tokenizers'); "
    "atexit.register(lambda: print([m for m in slow if m in sys.modules], file=sys.stderr)); "
    "from lmcompare_cli.app import main; main()"
)
Complete = Callable[..., list[str]]


@pytest.fixture
def complete(tmp_path: Path) -> Complete:
    """Ask as bash does for what may stand in place of the last word, in a folder of runs."""

    def call(*words: str) -> list[str]:
        typed = ["lmcompare", *words]
        environment = {
            **os.environ,
            "_LMCOMPARE_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(typed),
            "COMP_CWORD": str(len(typed) - 1),
        }
        ended = subprocess.run(
            [sys.executable, "-c", CALL],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stderr == "[]\n"
        assert ended.returncode == 0
        return [line for line in ended.stdout.splitlines() if line]

    return call


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """Two studies, one of them with two runs that nobody could read."""
    folder = tmp_path / "experiments"
    for name in ("first/clm-s0-1a", "first/mlm-s0-2b", "second/clm-s0-3c", ".trash/x/clm-s0-4d"):
        (folder / name).mkdir(parents=True)
        (folder / name / "run.json").write_text("{ no JSON")
    (folder / "first" / "tables").mkdir()
    (folder / "first" / "odd\n\x1b[31m").mkdir()
    (folder / "first" / "odd\n\x1b[31m" / "run.json").touch()
    (folder / "empty").mkdir()
    (folder / "file").touch()
    RunNotes(tags=("base", "new")).write(folder / "first" / "clm-s0-1a" / "notes.json")
    (folder / "first" / "mlm-s0-2b" / "notes.json").write_text('{"tags": [3, {}]}')
    (folder / "second" / "clm-s0-3c" / "notes.json").write_text("\0")
    return folder


RUNS = ["first", "first/clm-s0-1a", "first/mlm-s0-2b"]


def test_runs_and_studies(complete: Complete, experiments: Path) -> None:
    assert complete("runs", "") == ["first", "second", "experiments"]
    assert complete("runs", "f") == RUNS
    assert complete("eval", "first/m") == RUNS[2:]
    assert complete("compare", "experiments/first/c") == ["experiments/first/clm-s0-1a"]
    assert complete("rm", "first", "sec") == ["second", "second/clm-s0-3c"]
    assert complete("export", "third/") == []
    assert complete("runs", "--study", "s") == ["second"]
    assert complete("train", "-o", "mlm", "--study", "") == ["first", "second"]


def test_closed_and_absent_folders(complete: Complete, experiments: Path) -> None:
    (experiments / "first").chmod(0)
    assert "second" in complete("runs", "")
    (experiments / "first").chmod(0o755)
    assert complete("runs", "--out", "nowhere", "fi") == []


def test_tags_and_the_trash(complete: Complete, experiments: Path) -> None:
    assert complete("runs", "--tag", "") == ["base", "new"]
    assert complete("tag", "first", "--remove", "n") == ["new"]
    assert complete("rm", "--restore", "") == ["x"]


def test_words_of_the_library(complete: Complete) -> None:
    assert complete("train", "--objective", "m") == ["mlm", "mntp", "mdlm"]
    assert "batch.rows=" in complete("train", "-o", "clm", "-s", "batch.r")
    assert complete("runs", "--where", "runtime.boa") == ["runtime.boards="]
    assert complete("eval", "first", "--tasks", "likelihood,blim") == ["likelihood,blimp"]
    assert complete("probe", "first", "--tasks", "upos,dep") == ["upos,deprel"]


def test_the_words_are_those_of_the_library() -> None:
    module = load(ROOT / "docs" / "make_words.py")
    assert module.WORDS.read_text(encoding="utf-8") == module.content(), (
        "run python docs/make_words.py"
    )
    assert json.loads(module.content())["settings"]["batch.rows"] == "blocks of text a step"


def test_completion_can_be_installed() -> None:
    assert {"install_completion", "show_completion"} <= {
        each.name for each in get_command(app).params
    }
