"""Checkpoints: whole or absent, checked when read, with the one before to fall back on."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmcompare import files
from lmcompare.budget import Spent
from lmcompare.errors import UserError
from lmcompare.records import CheckpointRecord

MODEL, AVERAGE, OPTIMIZER = "model.safetensors", "average.safetensors", "optimizer.safetensors"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that has been checked."""

    path: Path
    record: CheckpointRecord

    def weights(self) -> dict[str, Tensor]:
        """The weights to evaluate, float32: averaged ones where the run keeps them."""
        average = self.path / AVERAGE
        return load_file(average if average.exists() else self.path / MODEL)

    def optimizer(self) -> dict[str, Tensor]:
        """The optimizer's state."""
        return load_file(self.path / OPTIMIZER)


def save(
    folder: Path,
    parts: Mapping[str, Mapping[str, Tensor]],
    *,
    spent: Spent,
    validation: float | None,
    keep: int,
) -> Path:
    """Write a checkpoint into `folder` and drop all but the last `keep`.

    Args:
        folder: of all checkpoints of a run.
        parts: file name to tensors.
        spent: by the run so far.
        validation: the last validation loss.
        keep: how many checkpoints stay.

    Raises:
        UserError: the disk is full or not writable; earlier checkpoints stay.
    """
    place = folder / f"step-{spent.steps:08d}"
    # what a killed process left half-written, and a broken one that was passed over on resuming
    for rest in [*folder.glob(".step-*"), *folder.glob(place.name)]:
        shutil.rmtree(rest)
    with files.new_folder(place) as new:
        for name, tensors in parts.items():
            write_tensors(new / name, tensors)
        checksums = {name: files.checksum(new / name) for name in parts}
        CheckpointRecord(spent=spent, validation=validation, checksums=checksums).write(
            new / "state.json"
        )
    for old in _newest_first(folder)[keep:]:
        shutil.rmtree(old)
    return place


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors, and words about them, as one file of safetensors, in a folder of our making.

    Raises:
        OSError: the disk is full or not writable.
    """
    flat = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    try:
        save_file(flat, path, None if metadata is None else dict(metadata))
    except SafetensorError as error:  # wraps the operating system's error in its text
        raise OSError(_error_number(str(error)), str(error)) from error
    # safetensors lets nobody but the user read it; who may is for the umask to say
    path.chmod(path.parent.stat().st_mode & 0o666)


def _error_number(text: str) -> int:
    """The system's number in a message such as `... (os error 28)`; 5, an I/O error, without."""
    _, found, rest = text.partition("os error ")
    return int(rest.partition(")")[0]) if found else 5


def latest(folder: Path, *, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest good checkpoint; None if none was ever written.

    Raises:
        UserError: there are checkpoints and none is good.
    """
    places = _newest_first(folder)
    for place in places:
        try:
            return check(place)
        except UserError as error:
            warn(f"{error}; trying the checkpoint before it")
    if places:
        raise UserError(
            f"none of the {len(places)} checkpoints in {folder} is good: start the run again with "
            "--force"
        )
    return None


def every(folder: Path, *, warn: Callable[[str], None]) -> Iterator[Checkpoint]:
    """The good checkpoints that were kept, the oldest first."""
    for place in reversed(_newest_first(folder)):
        try:
            yield check(place)
        except UserError as error:
            warn(f"{error}; it is left out")


def check(place: Path) -> Checkpoint:
    """Read the record of a checkpoint and compare the checksums of its files.

    Raises:
        UserError: something is missing, truncated or changed.
    """
    record = CheckpointRecord.read(place / "state.json")
    for name, expected in record.checksums.items():
        file = place / name
        if not file.exists():
            raise UserError(f"the checkpoint {place} is damaged: {name} is missing")
        if files.checksum(file) != expected:
            raise UserError(
                f"the checkpoint {place} is damaged: the content of {name} "
                f"({file.stat().st_size:,} bytes) "
                "does not match its checksum"
            )
    return Checkpoint(path=place, record=record)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
