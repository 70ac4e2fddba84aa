"""Finished runs of schemas 3 and 4, with some results, stay so: their hashes never change."""

import json
import shutil
from pathlib import Path

import pytest

from tests.tiny import Command, sentences

SETTINGS = [
    *("tokenizer.kind=characters", "model.layers=1", "model.width=8", "model.heads=1"),
    *("model.ffn=5", "batch.rows=4", "batch.length=33", "runtime.threads=1"),
]
TASK = '[my-pairs]\nkind = "pairs"\ngroup = "grammar"\nfiles = ["pairs.jsonl"]\n'
PAIRS = """\
{"sentence_good": "the cat saw.", "sentence_bad": "cat the saw."}
{"sentence_good": "a dog ran.", "sentence_bad": "ran dog a."}
"""


@pytest.fixture(params=(3, 4), ids="schema {}".format)
def run(command: Command, request: pytest.FixtureRequest) -> Path:
    """In the folder of its training, with its text and its task."""
    shutil.copytree(Path(__file__).with_name(f"schema_{request.param}"), "study")
    Path("text.txt").write_text(sentences(150))
    Path("task.toml").write_text(TASK)
    Path("pairs.jsonl").write_text(PAIRS)
    (found,) = Path("study").iterdir()
    return found


def train(command: Command) -> tuple[str, str]:
    """Ask for the run again, and return its directory and what was said."""
    settings = [each for setting in SETTINGS for each in ("-s", setting)]
    said = command(
        *("train", "-o", "clm", "--data", "text.txt", "-b", "6 steps", "--out", "."),
        *("--study", "study", *settings),
    )
    assert said.code == 0, said.err
    return said.out.strip(), said.err


def test_it_is_compared_listed_and_exported_as_it_is(command: Command, run: Path) -> None:
    said = command("compare", "study", "--format", "json", "--no-write")
    assert said.code == 0, said.err
    assert "left out" not in said.err
    tables = json.loads(said.out)["tables"]
    [section] = tables["likelihood"]
    bits = section["rows"][0]["estimates"]["bits_per_byte"]["mean"]
    assert bits == pytest.approx(6.8939, rel=1e-4)
    assert [len(tables[kind]) for kind in ("infilling", "generation", "benchmark")] == [1, 1, 1]
    listed = json.loads(command("results", "study", "--format", "json").out)
    assert len(listed) == 1 + 4 + 1 + 2
    assert not [each for each in listed if each["fault"]]
    assert command("export", run, "exported").code == 0


def test_what_was_measured_is_not_measured_again(command: Command, run: Path) -> None:
    before = sorted((run / "eval").iterdir())
    asked = (
        [],
        ["--tasks", "generation", "--texts", "2", "--prompt-tokens", "5", "--new-tokens", "7"],
        ["--tasks", "task.toml"],
    )
    for options in asked:
        said = command("eval", run, *options)
        assert said.code == 0, said.err
        assert sorted((run / "eval").iterdir()) == before, options
    assert command("eval", run, "--limit", "300").code == 0
    assert len(sorted((run / "eval").iterdir())) == len(before) + 2, "it is evaluated still"


def test_it_is_finished_and_goes_on_from_its_checkpoint(command: Command, run: Path) -> None:
    out, err = train(command)
    assert out == str(run)
    assert "finished before" in err
    end = json.loads((run / "done.json").read_text())["validation"]
    (run / "done.json").unlink()
    shutil.rmtree(run / "checkpoint" / "step-00000006")
    out, err = train(command)
    assert out == str(run)
    assert "finished before" not in err
    assert "continuing from step 4" in err
    assert json.loads((run / "done.json").read_text())["validation"] == pytest.approx(end, rel=1e-5)
