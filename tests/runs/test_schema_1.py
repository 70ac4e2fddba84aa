"""A run that was written before there were checksums is read, and said to be unverified."""

import json
import shutil
from pathlib import Path

import pytest

from tests.tiny import Command, sentences, the_error

FOLDER = Path(__file__).with_name("schema_1")


@pytest.fixture
def run(command: Command) -> Path:
    """In the folder of its training, with its text."""
    shutil.copytree(FOLDER, "study")
    Path("text.txt").write_text(sentences(150))
    (found,) = Path("study").iterdir()
    return found


def test_it_is_compared_evaluated_and_exported(command: Command, run: Path) -> None:
    said = command("compare", "study", "--format", "json", "--no-write")
    assert said.code == 0, said.err
    notes = " ".join(json.loads(said.out)["notes"])
    assert f"what is in their files was not verified: {run}" in notes
    again = command("eval", run, "--limit", "300", "--format", "json")
    assert len(json.loads(again.out)) == 1
    results = {*(run / "eval").glob("likelihood-*.json")}
    assert len(results) == 2, "a limit cut elsewhere then, and what was measured is kept"
    command("eval", run, "--limit", "300")
    assert {*(run / "eval").glob("likelihood-*.json")} == results, "not measured again"
    latest = command("compare", "study", "--latest", "--format", "json", "--no-write")
    [section] = json.loads(latest.out)["tables"]["likelihood"]
    assert section["scored"]["text"] == json.loads(again.out)[0]["bytes_hash"]
    listed = json.loads(command("results", run, "--format", "json").out)
    assert len(listed) == 2 + 4
    assert len({each["id"] for each in listed}) == 2 + 4
    asked = command(
        "eval", run, "--tasks", "infilling", "--texts", "5", "--length", "16", "--force"
    )
    assert asked.code == 0, asked.err
    names = sorted(path.name for path in (run / "eval").glob("infilling-*.json"))
    before = [name for name in names if "told" not in name]
    assert len(before) == 4, "what was asked for in another form is kept"
    assert len(names) == 4 + 2 * 4, "told the length of each hole, and not told"
    assert command("export", run, "exported").code == 0


def test_its_tokenizer_is_verified_all_the_same(command: Command, run: Path) -> None:
    file = run / "tokenizer.json"
    file.write_text(file.read_text().replace('"a"', '"\u00e6"', 1))
    said = the_error(command("generate", run, "--prompt", "the cat"))
    assert "tokenizer.json has changed since it was written" in said


def test_a_checksum_is_not_passed_by_naming_the_old_schema(command: Command, run: Path) -> None:
    file = run / "run.json"
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert "does not match its checksum" in the_error(command("compare", run))
