"""Checkpoints: whole or absent, checked when read, with the one before to fall back on."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmcompare import files
from lmcompare.config.budget import Spent
from lmcompare.errors import UserError
from lmcompare.runs.records import CheckpointRecord, Manifest

MODEL, AVERAGE, OPTIMIZER = "model.safetensors", "average.safetensors", "optimizer.safetensors"
STATE = "state.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that has been checked."""

    path: Path
    record: CheckpointRecord

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to evaluate, float32: averaged ones where the run keeps them."""
        return load_file(self.path / (AVERAGE if AVERAGE in self.record.checksums else MODEL))

    def optimizer(self) -> dict[str, Tensor]:
        """Return the optimizer's state."""
        return load_file(self.path / OPTIMIZER)


def save(
    folder: Path,
    parts: Mapping[str, Mapping[str, Tensor]],
    *,
    spent: Spent,
    validation: float | None,
    keep: int,
    manifest: Manifest | None = None,
    phase: int | None = None,
    ends_phase: bool = False,
) -> Path:
    """Write a checkpoint into `folder` and drop all but the last `keep` and the ends of phases.

    Args:
        folder: of all checkpoints of a run.
        parts: file name to tensors.
        spent: by the run so far.
        validation: the last validation loss.
        keep: how many checkpoints stay.
        manifest: what the other files of the run are.
        phase: the number of the phase of the last step; None of a run without phases.
        ends_phase: whether this phase is over.

    Raises:
        UserError: the disk is full or not writable; earlier checkpoints stay.
    """
    place = place_of(folder, spent.steps)
    # broken ones that were passed over on resuming
    for passed in (each for each in _newest_first(folder) if each.name >= place.name):
        shutil.rmtree(passed)
    with files.new_folder(place) as new:
        for name, tensors in parts.items():
            write_tensors(new / name, tensors)
        checksums = {name: files.checksum(new / name) for name in parts}
        CheckpointRecord(
            spent=spent,
            validation=validation,
            checksums=checksums,
            manifest=manifest,
            phase=phase,
            ends_phase=ends_phase and phase is not None,
        ).write(new / STATE)
    for old in _newest_first(folder)[keep:]:
        if phase is None or not _ends_phase(old):
            shutil.rmtree(old)
    return place


def _ends_phase(place: Path) -> bool:
    """Tell whether a checkpoint that can be read is the last of a phase."""
    with suppress(UserError):
        return CheckpointRecord.read(place / STATE).ends_phase
    return False


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
    # safetensors lets nobody but the user read it; the umask says who may
    path.chmod(path.parent.stat().st_mode & 0o666)


def _error_number(text: str) -> int:
    """Return the number in a message such as `... (os error 28)`; 5, an I/O error, without."""
    _, found, rest = text.partition("os error ")
    return int(rest.partition(")")[0]) if found else 5


def place_of(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}"


def latest(
    folder: Path, *, run: str | None = None, warn: Callable[[str], None]
) -> Checkpoint | None:
    """Return the newest good checkpoint of a run whose `run.json` has this hash; None without.

    Raises:
        UserError: there are checkpoints and none is good.
    """
    places = _newest_first(folder)
    for place in places:
        try:
            return check(place, run=run)
        except UserError as error:
            warn(f"{error}; trying the checkpoint before it")
    if places:
        raise UserError(
            f"none of the {len(places)} checkpoints in {folder} is good: start the run again with "
            "`again=True`"
        )
    return None


def every(
    folder: Path, *, run: str | None = None, warn: Callable[[str], None]
) -> Iterator[Checkpoint]:
    """Yield the good checkpoints that were kept, the oldest first; as `latest`."""
    for place in reversed(_newest_first(folder)):
        try:
            yield check(place, run=run)
        except UserError as error:
            warn(f"{error}; it is left out")


def records(folder: Path) -> Iterator[CheckpointRecord]:
    """Yield the records of the checkpoints that can be read, the newest first, unchecked."""
    for place in _newest_first(folder):
        with suppress(UserError):
            yield CheckpointRecord.read(place / STATE)


def check(place: Path, *, run: str | None = None) -> Checkpoint:
    """Read the record of a checkpoint and compare the checksums of its files.

    Args:
        place: its folder.
        run: hash of the `run.json` that it should belong to; any by default.

    Raises:
        UserError: something is missing, truncated or changed, or it is of another run or step.
    """
    record = _record(place, run)
    for name, expected in record.checksums.items():
        file = place / name
        try:
            found = files.checksum(file)
        except FileNotFoundError:
            raise UserError(f"the checkpoint {place} is damaged: {name} is missing") from None
        except OSError as error:
            raise UserError(
                f"the checkpoint {place} cannot be used: {name} cannot be read ({error.strerror})"
            ) from None
        if found != expected:
            raise UserError(
                f"the checkpoint {place} is damaged: the content of {name} "
                f"({file.stat().st_size:,} bytes) "
                "does not match its checksum"
            )
    return Checkpoint(path=place, record=record)


def newest_record(folder: Path, *, run: str) -> CheckpointRecord | None:
    """Return the record of a run's newest checkpoint, without a look at its other files.

    Raises:
        UserError: it is damaged, or of another run.
    """
    places = _newest_first(folder)
    return _record(places[0], run) if places else None


def _record(place: Path, run: str | None) -> CheckpointRecord:
    record = CheckpointRecord.read(place / STATE)
    if place.name != place_of(place.parent, record.spent.steps).name:
        raise UserError(f"the checkpoint {place} is in fact of step {record.spent.steps}")
    if record.manifest is not None and run not in (None, record.manifest.run):
        raise UserError(f"the checkpoint {place} belongs to another run than its folder")
    return record


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)
