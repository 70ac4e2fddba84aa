"""A finished run whose files have the checksums of schema 2 stays one: its hashes never change."""

import json
import shutil
from pathlib import Path

import pytest

from tests.tiny import Command, sentences

FOLDER = Path(__file__).with_name("schema_2")
SETTINGS = [
    *("tokenizer.kind=characters", "model.layers=1", "model.width=8", "model.heads=1"),
    *("model.ffn=5", "batch.rows=4", "batch.length=33", "runtime.threads=1"),
]


@pytest.fixture
def run(command: Command) -> Path:
    """In the folder of its training, with its text."""
    shutil.copytree(FOLDER, "study")
    Path("text.txt").write_text(sentences(150))
    (found,) = Path("study").iterdir()
    return found


def test_it_is_compared_listed_and_exported_as_it_is(command: Command, run: Path) -> None:
    said = command("compare", "study", "--format", "json", "--no-write")
    assert said.code == 0, said.err
    assert "left out" not in said.err
    [section] = json.loads(said.out)["tables"]["likelihood"]
    assert section["rows"][0]["estimates"]["bits_per_byte"]["mean"] == pytest.approx(
        6.6848, rel=1e-3
    )
    listed = json.loads(command("results", "study", "--format", "json").out)
    assert len(listed) == 5
    assert not [each for each in listed if each["fault"]]
    assert command("export", run, "exported").code == 0


def test_it_is_evaluated_and_finished_before(command: Command, run: Path) -> None:
    assert command("eval", run, "--limit", "300").code == 0
    settings = [each for setting in SETTINGS for each in ("-s", setting)]
    again = command(
        *("train", "-o", "clm", "--data", "text.txt", "-b", "6 steps", "--out", "."),
        *("--study", "study", *settings),
    )
    assert again.code == 0, again.err
    assert again.out.strip() == str(run)
    assert "finished before" in again.err


def test_what_joins_it_is_trained_under_its_defaults(command: Command, run: Path) -> None:
    """Its tokenizer has no spare tokens, and so has theirs; a study that is begun now has them."""
    settings = [each for setting in SETTINGS for each in ("-s", setting)]
    asked = ("train", "-o", "mlm", "--data", "text.txt", "-b", "2 steps", "--out", ".", *settings)
    beside = command(*asked, "--study", "study")
    assert beside.code == 0, beside.err
    assert "study was begun with the defaults of version 1" in beside.err
    elsewhere = command(*asked, "--study", "new")
    old, joined, new = (
        json.loads((Path(place) / "run.json").read_text())
        for place in (run, beside.out.strip(), elsewhere.out.strip())
    )
    assert joined["sheet"]["tokenizer"] == old["sheet"]["tokenizer"] != new["sheet"]["tokenizer"]
    assert (joined["config"]["tokenizer"]["spare"], new["config"]["tokenizer"]["spare"]) == (0, 17)
    assert joined["given"]["defaults"] == 1
    assert "defaults" not in new["given"]
    assert joined["given"]["model"] == new["given"]["model"] != joined["config"]["model"]
    again = command(*asked, "--study", "study", "--seed", "0", "--seed", "1")
    assert again.code == 0, again.err
    assert beside.out.strip() in again.out


@pytest.mark.slow
def test_what_joins_it_side_by_side_is_too(command: Command, run: Path) -> None:
    settings = [each for setting in SETTINGS for each in ("-s", setting)]
    said = command(
        *("train", "-o", "mlm", "--data", "text.txt", "-b", "2 steps", "--out", ".", *settings),
        *("--study", "study", "--parallel", "2", "--seed", "0", "--seed", "1"),
    )
    assert said.code == 0, said.err
    places = [Path(line) for line in said.out.split()]
    assert len(places) == 2
    for place in places:
        record = json.loads((place / "run.json").read_text())
        assert record["config"]["tokenizer"]["spare"] == 0
