"""`lmcompare results` as a user meets it: what was measured is listed, and removed if named."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from lmcompare.runs.run import Run
from tests.conftest import values
from tests.terminals import be_terminal
from tests.tiny import Command, TrainOnce, flags, the_error


@pytest.fixture
def study(command: Command, train_once: TrainOnce, corpus: Path) -> Path:
    """A run with two likelihoods and what it made of hidden tokens, and another run."""
    train_once("-o", "clm", *flags(corpus))
    train_once("-o", "mlm", *flags(corpus))
    study = Path("experiments/default")
    assert command("eval", study, "--limit", "997").code == 0
    (clm,) = study.glob("clm-*")
    assert command("eval", clm, "--limit", "211").code == 0
    assert command("eval", clm, "--tasks", "infilling", "--texts", "2", "--length", "11").code == 0
    return study


def listed(command: Command, *arguments: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command("results", *arguments, "--format=json").out)
    return found


def files_of(study: Path) -> set[Path]:
    return {*study.glob("*/eval/*")}


def test_all_results_are_listed_in_the_words_that_select_them(
    command: Command, study: Path
) -> None:
    said = command("results", study)
    assert (said.code, said.err) == (0, "")
    assert said.out.count("likelihood, causal") == 2
    assert said.out.count("infilling, second half") >= 1
    for word in ("bytes=", "window=33 stride=16", "texts=2 length=11", "bits/byte"):
        assert word in said.out
    everything = listed(command, study)
    assert len({each["id"] for each in everything}) == len(everything)
    for each in everything:
        assert each["id"] in said.out
        assert [one["id"] for one in listed(command, study, "--only", each["id"])] == [each["id"]]
    assert {one["selected_by"]["kind"][0] for one in listed(command, study, "--only=pll")} == {
        "likelihood"
    }


@pytest.mark.parametrize("width", values(60, slow=[80, 120]))
def test_a_terminal_shows_every_column(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    be_terminal(monkeypatch, width)
    out = command("results", study).out
    assert max(map(len, out.splitlines())) <= width
    for heading in ("id", "measured", "of", "settings", "step", "when", "value", "unit"):
        assert heading in out
    assert "…" not in out


def test_what_is_named_is_removed_and_nothing_else(command: Command, study: Path) -> None:
    before = files_of(study)
    (trial,) = [
        each
        for each in listed(command, study, "--only=likelihood")
        if each["record"]["num_bytes"] < 300
    ]
    said = command("results", study, "--remove", trial["id"], "--yes")
    assert said.code == 0
    assert trial["id"] in said.out, "what goes is shown"
    assert said.err == "removed 1 result\n"
    assert before - files_of(study) == {Path(file) for file in trial["files"]}
    assert len(trial["files"]) == 2
    assert trial["id"] not in command("results", study).out
    assert "several settings" not in command("compare", study, "--no-write", "--table", "all").out
    command("results", study, "--only=likelihood", "--remove=all", "--yes")
    assert {each["selected_by"]["kind"][0] for each in listed(command, study)} == {"infilling"}
    assert "not evaluated" in command("compare", study, "--no-write", "--table", "all").out


def test_nothing_is_removed_unasked(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(study)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = command("results", study, "--remove=infilling")
    assert "would be removed, and nobody is there to ask: add --yes" in the_error(said)
    assert "name them" in the_error(command("results", "--remove=all", "--yes"))
    assert command("compare", study).code == command("compare", study, "--latest").code == 0
    whole, selected = (study / "tables" / f"{name}.md" for name in ("compare", "compare-selected"))
    assert len(whole.read_text()) > len(selected.read_text()), "the whole is not written over"
    assert "no result is 'boolq'" in the_error(command("results", study, "--remove=boolq", "-y"))
    answers = io.StringIO("no\n")
    monkeypatch.setattr(answers, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", answers)
    said = command("results", study, "--remove=infilling")
    assert said.code == 0
    assert said.err.endswith("nothing was removed\n")
    assert files_of(study) == before
    answers = io.StringIO("y\n")
    monkeypatch.setattr(answers, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", answers)
    assert "removed" in command("results", study, "--remove=infilling").err
    assert files_of(study) < before


def test_damaged_and_unfinished_ones_are_listed_and_removed(command: Command, study: Path) -> None:
    (clm,) = study.glob("clm-*")
    folder = clm / "eval"
    damaged, lost, *_ = sorted(folder.glob("likelihood-*.json"))
    damaged.write_text("{}")
    lost.unlink()
    (folder / "task-boolq-all-12345678-3.unfinished").write_text("a\nb\n")
    said = command("results", clm)
    assert said.code == 0
    for words in ("likelihood, damaged", "benchmark, unfinished", "2 answers", "record is missing"):
        assert words in said.out
    before = files_of(study)
    assert command("results", clm, "--remove=damaged", "--remove=unfinished", "--yes").code == 0
    gone = before - files_of(study)
    assert {file.name for file in gone} == {
        damaged.name,
        damaged.with_suffix(".jsonl").name,
        lost.with_suffix(".jsonl").name,
        "task-boolq-all-12345678-3.unfinished",
    }
    assert command("compare", study, "--no-write").code == 0


def test_what_a_model_of_before_was_asked_is_listed_too(command: Command, study: Path) -> None:
    (clm,) = study.glob("clm-*")
    (checkpoint,) = (clm / "checkpoint").iterdir()
    assert command("eval", checkpoint, "--limit", "997").code == 0
    assert Run(clm, at=3).results.folder.is_dir()
    own = {each["id"]: each for each in listed(command, checkpoint)}
    assert len(own) == 1
    assert own.keys() < {each["id"] for each in listed(command, clm)}
    (found,) = own.values()
    assert f"eval/{checkpoint.name}/" in found["files"][0]


def test_compare_takes_in_what_is_selected(command: Command, study: Path) -> None:
    latest = command("compare", study, "--latest", "--no-write", "--table", "all")
    assert latest.code == 0
    assert latest.out.count("exact: the model's own probability") == 1
    assert "left out: 1 of" in latest.out
    exact = [line for line in latest.out.splitlines() if line.startswith("validation ")]
    assert len([line for line in exact if "bytes, window" in line]) == 1
    assert command("compare", study).code == command("compare", study, "--latest").code == 0
    whole, selected = (study / "tables" / f"{name}.md" for name in ("compare", "compare-selected"))
    assert len(whole.read_text()) > len(selected.read_text()), "the whole is not written over"
    assert "no result is 'boolq'" in the_error(command("compare", study, "--only=boolq"))
    causal = command("compare", study, "--only=causal", "--no-write", "--table", "all")
    assert "pll scoring" not in causal.out
