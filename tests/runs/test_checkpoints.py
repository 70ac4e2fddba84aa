"""A checkpoint is whole or absent; a damaged one is noticed, and the one before it taken."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from lmcompare import files
from lmcompare.config.budget import Spent
from lmcompare.errors import UserError
from lmcompare.runs import checkpoints
from lmcompare.runs.run import Run
from tests import ROOT
from tests.tiny import Trainer, assert_equal, tiny


def save(folder: Path, step: int, *, keep: int = 2) -> Path:
    tensors = {"a": torch.arange(11.0) + step, "b": torch.ones(3, 5)}
    parts = {checkpoints.MODEL: tensors, checkpoints.OPTIMIZER: {"step": torch.tensor(step)}}
    return checkpoints.save(folder, parts, spent=Spent(steps=step), validation=None, keep=keep)


def no_warning(text: str) -> None:
    pytest.fail(text)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    save(tmp_path, 7)
    found = checkpoints.latest(tmp_path, warn=no_warning)
    assert found is not None
    assert found.record.spent.steps == 7
    torch.testing.assert_close(found.weights()["a"], torch.arange(11.0) + 7)
    assert found.optimizer()["step"] == 7


def test_averaged_weights_are_the_ones_to_evaluate(tmp_path: Path) -> None:
    parts = {
        checkpoints.MODEL: {"a": torch.zeros(2)},
        checkpoints.AVERAGE: {"a": torch.ones(2)},
        checkpoints.OPTIMIZER: {"a": torch.zeros(2)},
    }
    checkpoints.save(tmp_path, parts, spent=Spent(steps=1), validation=0.5, keep=2)
    found = checkpoints.latest(tmp_path, warn=no_warning)
    assert found is not None
    assert found.weights()["a"].equal(torch.ones(2))
    assert found.record.validation == 0.5


def test_none_is_no_error(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path / "nowhere", warn=no_warning) is None


def test_only_the_last_few_stay(tmp_path: Path) -> None:
    for step in (1, 9, 10, 100):
        save(tmp_path, step, keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000009",
        "step-00000010",
        "step-00000100",
    ]
    save(tmp_path, 101, keep=2)
    assert len(list(tmp_path.iterdir())) == 2


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        place = save(tmp_path / "new", 1)
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o755


def truncate(place: Path) -> None:
    file = place / checkpoints.MODEL
    file.write_bytes(file.read_bytes()[:-1])


def flip(place: Path) -> None:
    file = place / checkpoints.OPTIMIZER
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)


def drop_file(place: Path) -> None:
    (place / checkpoints.OPTIMIZER).unlink()


def drop_record(place: Path) -> None:
    (place / "state.json").unlink()


def break_record(place: Path) -> None:
    (place / "state.json").write_bytes(b'{"schema_version": 1, "sp\xff')


def empty_record(place: Path) -> None:
    (place / "state.json").write_bytes(b"")


DAMAGES = {
    truncate: r"damaged: the content of model\.safetensors",
    flip: r"damaged: the content of optimizer\.safetensors .* does not match its checksum",
    drop_file: r"damaged: optimizer\.safetensors is missing",
    drop_record: r"state\.json cannot be read: No such file",
    break_record: r"state\.json is no valid CheckpointRecord",
    empty_record: r"state\.json is no valid CheckpointRecord",
}
damages = pytest.mark.parametrize(
    ("damage", "said"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES]
)


@damages
def test_a_damaged_one_is_passed_over_and_said(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    save(tmp_path, 1)
    damage(save(tmp_path, 2))
    warnings: list[str] = []
    found = checkpoints.latest(tmp_path, warn=warnings.append)
    assert found is not None
    assert found.record.spent.steps == 1
    assert len(warnings) == 1
    assert re.search(said, warnings[0])
    assert "trying the checkpoint before it" in warnings[0]


@damages
def test_where_none_is_good_nothing_begins_anew(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    for step in (1, 2):
        damage(save(tmp_path, step))
    warnings: list[str] = []
    with pytest.raises(UserError, match=r"none of the 2 checkpoints .* is good: .* `again=True`"):
        checkpoints.latest(tmp_path, warn=warnings.append)
    assert len(warnings) == 2
    assert all(re.search(said, warning) for warning in warnings)


def test_a_run_completes_from_the_checkpoint_before(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "mlm", "runtime.save_every=5")
    whole = train(config, run=Run(train.folder / "whole"))
    run = train(config, stop_at=15)
    flip(run.checkpoints / "step-00000015")
    train.messages.clear()
    train(config)
    assert any("damaged" in message for message in train.messages)
    assert "continuing from step 10" in train.messages
    assert_equal(run, whole)


def test_a_run_without_a_good_checkpoint_is_refused(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus)
    run = train(config, stop_at=3)
    truncate(run.checkpoints / "step-00000003")
    before = run.metrics_file.read_text()
    with pytest.raises(UserError, match=r"none of the 1 checkpoints .* is good"):
        train(config)
    assert run.metrics_file.read_text() == before


def full_in_safetensors(*_: object) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")


def full_in_sync(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("module", "name", "failure"),
    [
        (checkpoints, "save_file", full_in_safetensors),
        (os, "fsync", full_in_sync),
        (files, "checksum", full_in_sync),
    ],
    ids=["safetensors", "fsync", "checksum"],
)
def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, failure: object
) -> None:
    save(tmp_path, 1)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, failure)
        with pytest.raises(UserError, match=r"^the disk is full: .* free some space"):
            save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoints.latest(tmp_path, warn=no_warning) is not None


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, r"cannot be written \(Permission denied\): choose a folder"),
        (errno.EROFS, r"cannot be written \(Read-only file system\)"),
        (errno.EIO, r"cannot be written \(Input/output error\)"),
        (errno.EDQUOT, "the disk is full"),
    ],
)
def test_other_failures_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=said):
        save(tmp_path, 1)
    with pytest.raises(UserError, match=said):
        files.write_text(tmp_path / "file", "content")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_safetensors_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SafetensorError("something else")

    monkeypatch.setattr(checkpoints, "save_file", fail)
    with pytest.raises(UserError, match=r"cannot be written \(something else\)"):
        save(tmp_path, 1)


def test_a_full_disk_while_training(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fills up at the second checkpoint; with space again, the run ends like any other."""
    config = tiny(corpus)
    whole = train(config, run=Run(train.folder / "whole"))
    really, calls = checkpoints.save_file, [0]

    def filling(*arguments: object) -> None:
        calls[0] += 1
        if calls[0] == 4:
            full_in_safetensors()
        really(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save_file", filling)
        with pytest.raises(UserError, match="the disk is full"):
            train(config)
    run = train.place(config)
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-00000007"]
    assert_equal(train(config), whole)


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    place = save(tmp_path, 1)
    shutil.copytree(place, tmp_path / ".lmcompare-new-12ab34cd-step-00000002")
    save(tmp_path, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000003"]


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new" / "file"
    files.write_text(file, "old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full_in_sync)
        with pytest.raises(UserError, match="the disk is full"):
            files.write_text(file, "new")
    assert file.read_text() == "old"
    files.write_text(file, "new")
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def fill(*, broken: bool) -> None:
        with files.new_folder(tmp_path / "folder") as new:
            (new / "one").write_text("1")
            assert not (tmp_path / "folder").exists()
            if broken:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(broken=True)
    assert list(tmp_path.iterdir()) == []
    fill(broken=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "one"]


def test_nothing_is_ever_unpickled() -> None:
    forbidden = re.compile(
        r"\b(pickle|joblib|dill|shelve|marshal)\b|torch\.(load|save)\b|allow_pickle=True"
        r"|weights_only|\b(eval|exec)\(|read_pickle"
    )
    sources = [*ROOT.glob("lmcompare/**/*.py"), *ROOT.glob("cli/**/*.py")]
    assert len(sources) > 30
    found = [
        f"{source}: {line}"
        for source in sources
        for line in source.read_text(encoding="utf-8").splitlines()
        if forbidden.search(line) and ".eval()" not in line
    ]
    assert found == []
