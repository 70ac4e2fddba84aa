"""One damaged run stops nobody but those who name it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lmcompare.runs.checkpoints import place_of
from lmcompare.runs.run import Run
from tests.conftest import values
from tests.tiny import Command, TrainOnce, flags, the_error

SETTINGS = ("runtime.save_every=2",)


@pytest.fixture
def places(train_once: TrainOnce, corpus: Path) -> list[Path]:
    """Three runs of a study, that differ in their seed."""
    seeds = ("--seed", "0", "--seed", "1", "--seed", "2")
    return train_once("-o", "clm", *flags(corpus, *SETTINGS), *seeds)


def no_bytes(run: Run) -> None:
    run.record_file.write_bytes(b"")


def no_number(run: Run) -> None:
    text = run.record_file.read_text()
    run.record_file.write_text(text.replace('"seed": 0', '"seed": null', 1))


def a_folder(run: Run) -> None:
    run.record_file.unlink()
    run.record_file.mkdir()


def of_another(run: Run) -> None:
    (other,) = run.path.parent.glob("clm-s1-*")
    shutil.copy(Run(other).record_file, run.record_file)


@pytest.mark.parametrize("damage", values(no_number, of_another, slow=[no_bytes, a_folder]))
def test_a_damaged_run_is_left_out_of_its_study(
    command: Command, places: list[Path], damage: Callable[[Run], None]
) -> None:
    study = places[0].parent
    damage(Run(places[0]))
    for arguments in (
        ("compare", study, "--no-write"),
        ("eval", study, "--limit", "200"),
        ("runs", study),
        ("generate", study, "--prompt", "the", "--max-new-tokens", "2"),
    ):
        said = command(*arguments)
        assert said.code == 0, (arguments, said)
        assert said.err.count("left out: ") == 1, (arguments, said)
        assert str(places[0]) in said.err
        named = command(arguments[0], places[0], *arguments[2:])
        assert str(places[0]) in the_error(named)
    for place in places[1:]:
        no_bytes(Run(place))
    assert "can be used; the first of 3: " in the_error(command("eval", study))
    assert "can be used; the first of 3: " in the_error(command("compare", study))


def test_the_remedy_that_is_named_works(command: Command, places: list[Path], corpus: Path) -> None:
    no_bytes(Run(places[0]))
    train = ("train", "-o", "clm", *flags(corpus, *SETTINGS))
    assert "start the run again with --force" in the_error(command(*train))
    assert command(*train, "--force").code == 0
    assert command("compare", places[0].parent).code == 0
    assert command(*train).code == 0


def test_a_finished_run_is_not_evaluated_by_an_older_model_unasked(
    command: Command, places: list[Path]
) -> None:
    run = Run(places[0])
    older, last = (place_of(run.checkpoints, step) for step in (2, 3))
    (last / "model.safetensors").unlink()
    for name, *others in (
        ("eval", "--limit", "200"),
        ("generate", "--prompt", "the", "--max-new-tokens", "2"),
        ("export", "exported"),
    ):
        error = the_error(command(name, run.path, *others))
        assert "model.safetensors is missing" in error
        assert f"or name an older one: {older}" in error
        said = command(name, older, *others)
        assert said.code == 0, said.err
    assert list((run.path / "eval" / older.name).glob("likelihood-*.json"))
    assert not list((run.path / "eval").glob("*.json")), "the run itself was not measured"
    assert "name the run alone" in the_error(command("compare", older))


def test_runs_are_found_through_links_and_where_they_were_moved(
    command: Command, places: list[Path]
) -> None:
    study = places[0].parent
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    shutil.move(places[0], elsewhere / places[0].name)
    places[0].symlink_to((elsewhere / places[0].name).absolute(), target_is_directory=True)
    said = command("compare", study, "--no-write")
    assert said.code == 0, said.err
    several = command("compare", study, elsewhere, places[1], "--no-write")
    assert several.code == 0, several.err
    Path("copy").mkdir()
    shutil.copytree(places[1], Path("copy") / places[1].name)
    assert command("compare", study, "copy", "--no-write").code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_may_not_be_read_is_left_out(command: Command, places: list[Path]) -> None:
    for path in (places[0], Run(places[1]).record_file):
        path.chmod(0)
    said = command("compare", places[0].parent, "--no-write")
    for path in (places[0], Run(places[1]).record_file):
        path.chmod(0o755)
    assert said.code == 0
    assert said.err.count("left out: ") == 2
