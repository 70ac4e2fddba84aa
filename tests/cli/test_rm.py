"""`lmcompare rm` as a user meets it: what is moved to the trash is whole, and comes back."""

import io
import json
import shutil
from pathlib import Path

import pytest

from lmcompare import files
from lmcompare.runs.run import Run
from lmcompare.runs.trash import in_trash_of
from tests.tiny import Command, flags, the_error

OUT = Path("experiments")
TRAIN = ("train", "-o", "clm")


@pytest.fixture
def study(command: Command, corpus: Path) -> Path:
    """Two finished runs."""
    assert command(*TRAIN, *flags(corpus), "--seed", "1", "--seed", "2").code == 0
    return OUT / "default"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    stdin = io.StringIO(text)
    stdin.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", stdin)


def test_a_run_is_moved_and_put_back_whole(command: Command, study: Path) -> None:
    one, two = sorted(study.iterdir())
    before = contents(one)
    said = command("rm", one, "--yes")
    assert said.code == 0
    place = Path(said.out.strip())
    assert place.parent == study / ".trash"
    assert place.name.endswith(f"-{one.name}")
    assert not one.exists()
    assert contents(place) == before
    assert command("rm", "--undo").out.strip() == str(one)
    assert contents(one) == before
    assert two.exists()
    assert "is empty" in the_error(command("rm", "--undo"))


def test_nothing_else_finds_what_is_in_the_trash(command: Command, study: Path) -> None:
    one, two = sorted(study.iterdir())
    place = Path(command("rm", one, "-y").out.strip())
    for places in ([], [study], ["default"], [OUT]):
        rows = json.loads(command("runs", *places, "--format", "json").out)
        assert [row["run"] for row in rows] == [str(two)]
    for trash in (place, place.parent, place / "checkpoint" / "step-00000003"):
        for do in (["runs"], ["eval"], ["compare", "--no-write"], ["results"], ["tag"]):
            assert "is in the trash: `lmcompare rm --restore" in the_error(command(*do, trash))
    assert "is in the trash already" in the_error(command("rm", place, "-y"))
    command("rm", study, "-y")
    assert "holds no run" in the_error(command("runs"))


def test_training_begins_again_and_what_is_in_the_way_is_kept(
    command: Command, corpus: Path, study: Path
) -> None:
    one, _ = sorted(study.iterdir())
    command("rm", one, "-y")
    seed = str(json.loads((next((study / ".trash").iterdir()) / "run.json").read_text())["arm"])
    assert seed == "clm"
    command(*TRAIN, *flags(corpus), "--seed", "1")
    after = contents(one)
    error = the_error(command("rm", "--undo"))
    assert f"there is another {one} by now" in error
    assert "there is another" in the_error(command("rm", "--restore", one.name))
    assert contents(one) == after
    assert len(in_trash_of(OUT)) == 1


def test_a_study_goes_as_a_whole_and_runs_within_it_once(command: Command, study: Path) -> None:
    one, _ = sorted(study.iterdir())
    before = contents(study)
    said = command("rm", "default", one, "-y")
    (place,) = map(Path, said.out.splitlines())
    assert place.parent == OUT / ".trash"
    assert f"{study}, 2 runs" in said.err
    assert contents(place) == before
    listed = command("rm")
    assert listed.out.splitlines()[1].split()[::4] == [place.name, "2"]
    assert str(study) in listed.out
    assert command("rm", "--restore", "default").code == 0
    assert contents(study) == before


def test_several_that_are_called_alike(command: Command, corpus: Path, study: Path) -> None:
    one, two = sorted(study.iterdir())
    first = Path(command("rm", one, "-y").out.strip())
    command(*TRAIN, *flags(corpus), "--seed", "1")
    second = Path(command("rm", one, two, "-y").out.splitlines()[0])
    error = the_error(command("rm", "--restore", one.name))
    assert "2 are called" in error
    assert first.name in error
    assert second.name in error
    nearest = the_error(command("rm", "--restore", one.name[:-1]))
    assert f"did you mean '{one.name}'" in nearest
    assert command("rm", "--restore", second.name).code == 0
    assert command("rm", "--restore", str(two)).out.strip() == str(two)
    assert [each.path for each in in_trash_of(OUT)] == [first]


def test_undo_puts_back_all_that_was_moved_at_once(command: Command, study: Path) -> None:
    one, two = sorted(study.iterdir())
    command("rm", one, two, "-y")
    assert sorted(command("rm", "--undo").out.splitlines()) == [str(one), str(two)]


def test_it_asks(command: Command, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = sorted(study.iterdir())
    error = the_error(command("rm", one))
    assert error == "1 folder would be moved to the trash, and nobody is there to ask: add --yes"
    answer(monkeypatch, "n\n")
    said = command("rm", one)
    assert (said.code, said.out) == (0, "")
    assert "nothing was moved" in said.err
    assert one.exists()
    answer(monkeypatch, "y\n")
    command("rm", one)
    assert not one.exists()
    answer(monkeypatch, "\n")
    assert "nothing was removed" in command("rm", "--empty").err
    answer(monkeypatch, "yes\n")
    said = command("rm", "--empty")
    assert "Remove from the disk 1 folder and all that was trained there? [y/N]" in said.err
    assert in_trash_of(OUT) == []
    assert "the trash is empty" in command("rm", "--empty").err


def test_a_run_that_is_trained_stays(command: Command, study: Path) -> None:
    one, two = sorted(study.iterdir())
    Run(two).done_file.unlink()
    with Run(two).locked():
        for place in (two, study):
            assert "is being written by a live process" in the_error(command("rm", place, "-y"))
        assert "is being written" in the_error(command("rm", one, two, "-y"))
    assert one.exists()
    assert two.exists()


def test_what_is_no_run_stays(command: Command, study: Path) -> None:
    one, _ = sorted(study.iterdir())
    other = OUT / "other"
    other.mkdir()
    (other / "a.txt").write_text("text")
    (study / "study.toml").write_text("")
    for place, why in {
        other: "is neither a run nor a study",
        study / "study.toml": "is a file: name the folder",
        OUT: "is a folder of studies: name those that are meant, default",
        one / "checkpoint": "is neither a run nor a study",
        one / "checkpoint" / "step-00000003": f"is a checkpoint: name its run, {one}",
        Path.cwd(): "holds the folder that you are in",
        Path(".."): "holds the folder that you are in",
        OUT / "dfault": "did you mean",
    }.items():
        assert why in the_error(command("rm", one, place, "--yes")), place
    assert one.exists()
    excluding = the_error(command("rm", one, "--undo"))
    assert "exclude one another" in excluding


def test_a_broken_run_can_go(command: Command, study: Path) -> None:
    one, _ = sorted(study.iterdir())
    (one / "run.json").write_text("{")
    assert command("rm", one, "-y").code == 0
    assert not one.exists()
    assert command("rm", "--undo").code == 0


def test_a_process_that_dies_while_it_empties_leaves_no_half_of_a_run(
    command: Command, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = sorted(study.iterdir())
    command("rm", one, two, "-y")

    def die(path: Path) -> None:
        (path / "run.json").unlink()
        raise OSError(5, "as if it had died")

    with monkeypatch.context() as patched:
        patched.setattr(files.shutil, "rmtree", die)
        the_error(command("rm", "--empty", "-y"))
    (left,) = in_trash_of(OUT)
    assert left.origin == two
    assert left.num_runs == 1
    assert len([*(study / ".trash").iterdir()]) == 2
    command("rm", "--empty", "-y")
    assert [*(study / ".trash").iterdir()] == []


def test_names_that_a_terminal_would_obey(command: Command, study: Path) -> None:
    one, _ = sorted(study.iterdir())
    odd = study / "a\nb\x1b[31m"
    shutil.move(one, odd)
    said = command("rm", odd, "-y")
    assert r"a\nb\x1b[31m" in said.out
    assert r"a\nb\x1b[31m" in command("rm").out
    assert command("rm", "--restore", odd.name).code == 0
    assert (odd / "run.json").exists()
