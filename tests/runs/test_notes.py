"""What people say of a run: tags and a comment, valid ones alone, and kept whole."""

from pathlib import Path
from typing import Any

import pytest

from lmcompare.errors import UserError
from lmcompare.runs.notes import NotesChange, RunNotes
from tests.tiny import Trainer, tiny


def test_a_change_adds_removes_and_replaces(tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    assert RunNotes.at(file) == RunNotes(tags=(), comment="")
    NotesChange.of(add=["slow", "base", "slow"], comment=" the first ").apply(file)
    assert RunNotes.at(file) == RunNotes(tags=("base", "slow"), comment="the first")
    NotesChange.of(add=["new"], remove=["slow"]).apply(file)
    assert RunNotes.at(file) == RunNotes(tags=("base", "new"), comment="the first")
    NotesChange.of(comment="").apply(file)
    assert RunNotes.at(file) == RunNotes(tags=("base", "new"), comment="")


def test_no_change_writes_nothing(tmp_path: Path) -> None:
    NotesChange.of().apply(tmp_path / "notes.json")
    assert not (tmp_path / "notes.json").exists()


BAD_TAGS = ["", "two words", "a,b", "a\nb", "\x1b[31mred", "<script>", "-x", ".x", "a/b", "x" * 65]


@pytest.mark.parametrize("tag", BAD_TAGS)
def test_a_tag_is_one_plain_word(tag: str) -> None:
    with pytest.raises(UserError, match="is no tag: take one word"):
        NotesChange.of(add=[tag])


@pytest.mark.parametrize("tag", ["v1.2", "no_dropout", "x-1", "größe", "हिन्दी", "x" * 64])
def test_words_of_any_script_are_tags(tag: str, tmp_path: Path) -> None:
    NotesChange.of(add=[tag]).apply(tmp_path / "notes.json")
    assert RunNotes.at(tmp_path / "notes.json").tags == (tag,)


def test_composed_and_decomposed_letters_are_one_tag(tmp_path: Path) -> None:
    NotesChange.of(add=["caf\u00e9"]).apply(tmp_path / "notes.json")
    NotesChange.of(remove=["cafe\u0301"]).apply(tmp_path / "notes.json")
    assert RunNotes.at(tmp_path / "notes.json").tags == ()


def test_what_is_added_and_removed_at_once_or_cannot_be_stored_is_refused() -> None:
    with pytest.raises(UserError, match="'a' is both added and removed"):
        NotesChange.of(add=["a"], remove=["a"])
    with pytest.raises(UserError, match="no UTF-8"):
        NotesChange.of(comment="\udcff")


def test_an_unknown_tag_is_answered_with_the_nearest() -> None:
    change = NotesChange.of(remove=["baseln"])
    with pytest.raises(UserError, match="did you mean 'baseline'"):
        change.require_removable([RunNotes(tags=("baseline",)), RunNotes()])
    with pytest.raises(UserError, match="they have no tags"):
        change.require_removable([RunNotes()])


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema_version": 3, "tags": ["<script>"]}', "\x00", '{"tags": 5}']
)
def test_a_broken_file_is_said_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.json"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        RunNotes.at(file)
    assert str(file) in str(error.value)
    assert "remove that file" in str(error.value)
    with pytest.raises(UserError, match="is no valid RunNotes"):
        NotesChange.of(add=["x"]).apply(file)
    assert file.read_text() == content


def test_notes_are_no_part_of_a_run(corpus: Path, train: Trainer) -> None:
    run = train(tiny(corpus, "clm", "budget=2 steps"))
    before: tuple[Any, ...] = (run.hash, run.record(), run.state())
    NotesChange.of(add=["x"], comment="y").apply(run.notes_file)
    assert (run.hash, run.record(), run.state()) == before
    assert run.notes() == RunNotes(tags=("x",), comment="y")
