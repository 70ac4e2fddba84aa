"""The trash: where runs and studies are moved that are not wanted, and come back from.

It lies beside what was thrown away, so that a single rename moves a folder whole, and tells where
it comes back to: `STUDY/.trash/TIME-RUN` is of `STUDY/RUN`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lmcompare import files
from lmcompare.errors import UserError, did_you_mean
from lmcompare.runs import checkpoints
from lmcompare.runs.finding import find_all
from lmcompare.runs.places import STUDY_FILE, TRASH, find_place, in_trash
from lmcompare.runs.run import Run

_TIME = "%Y%m%d-%H%M%S-%f"  # UTC, so that names are in the order of time
_NAME = re.compile(r"(\d{8}-\d{6}-\d{6})-(.+)", re.DOTALL)


@dataclass(frozen=True)
class Thrown:
    """A run or study in the trash."""

    path: Path

    @property
    def _parts(self) -> tuple[str, str]:
        found = _NAME.fullmatch(self.path.name)
        assert found is not None
        return found[1], found[2]

    @property
    def time(self) -> datetime:
        """Return when it was thrown away."""
        return datetime.strptime(self._parts[0], _TIME).replace(tzinfo=UTC)

    @property
    def origin(self) -> Path:
        """Return where it lay, and comes back to."""
        return self.path.parent.parent / self._parts[1]

    @property
    def num_runs(self) -> int:
        """Return how many runs it holds."""
        return sum(1 for _ in _runs_in(self.path))

    def restore(self) -> Path:
        """Move it back, whole or not at all.

        Raises:
            UserError: the place is taken, or not writable.
        """
        self.require_free()
        with files.explained(self.origin):
            self.path.rename(self.origin)
            files.sync(self.origin.parent)
            files.sync(self.path.parent)
        return self.origin

    def require_free(self) -> None:
        """Make sure that it can come back.

        Raises:
            UserError: something else is there by now.
        """
        if self.origin.exists():
            raise UserError(
                f"{self.path} cannot come back, as there is another {self.origin} by now: move "
                "that away first"
            )

    def remove(self) -> None:
        """Remove it from the disk.

        Raises:
            UserError: it cannot be written to.
        """
        files.remove_folder(self.path)


@dataclass(frozen=True)
class Unwanted:
    """A run or study that may be thrown away, with the runs that it holds."""

    path: Path
    runs: Sequence[Run]

    def require_idle(self) -> None:
        """Make sure that nothing of it is being trained.

        Raises:
            Busy: a run is.
        """
        for run in self.runs:
            if run.state() == "running":
                with run.locked():  # where it is held, this says by whom
                    pass


def unwanted(places: Iterable[Path], *, out: Path) -> list[Unwanted]:
    """Find what is to be thrown away, each once.

    Args:
        places: runs and studies, by their paths or by their names in `out`.
        out: the folder of all studies.

    Raises:
        UserError: a place is not there, or neither a run nor a study, or a run is being trained.
    """
    paths = [find_place(place, out=out) for place in places]
    paths = [path if path.name not in ("", "..") else path.resolve() for path in paths]
    found = {path: _runs_of(path) for path in paths}
    outer = {path.absolute() for path in found}
    found = {path: runs for path, runs in found.items() if not outer & {*path.absolute().parents}}
    going = [Unwanted(path, runs) for path, runs in found.items()]
    for each in going:
        each.require_idle()
    return going


def throw_away(wanted: Iterable[Unwanted]) -> Iterator[Thrown]:
    """Move runs and studies to the trash, each whole or not at all, and yield where each is.

    Raises:
        Busy: a run is being trained by now; what comes before it was moved.
        UserError: a folder is not writable.
    """
    name = datetime.now(UTC).strftime(_TIME)
    for each in wanted:
        trash = each.path.parent / TRASH
        place = trash / f"{name}-{each.path.name}"
        with files.explained(each.path):
            trash.mkdir(exist_ok=True)
            each.require_idle()
            each.path.rename(place)
            files.sync(trash)
            files.sync(each.path.parent)
        yield Thrown(place)


def in_trash_of(out: Path) -> list[Thrown]:
    """Return what is in the trash of a folder of studies, and in that of each; the oldest first."""
    folders = [out / TRASH, *sorted(out.glob(f"*/{TRASH}"))]
    found = [
        Thrown(path)
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if _NAME.fullmatch(path.name)
    ]
    return sorted(found, key=lambda each: each.path.name)


def last_thrown(out: Path) -> list[Thrown]:
    """Return what was thrown away last, together.

    Raises:
        UserError: the trash is empty.
    """
    found = in_trash_of(out)
    if not found:
        raise UserError(f"the trash of {out} is empty: there is nothing to put back")
    return [each for each in found if each.time == found[-1].time]


def thrown(name: str, *, out: Path) -> Thrown:
    """Find what is meant in the trash.

    Args:
        name: what it was called, or its path then, or what it is called in the trash.
        out: the folder of all studies.

    Raises:
        UserError: there is none, or several are called so.
    """
    found = in_trash_of(out)
    names = {each: (each.path.name, each.origin.name, str(each.origin)) for each in found}
    meant = [each for each in found if name.rstrip("/") in (*names[each], str(each.path))]
    if not meant:
        known = {name for each in found for name in names[each][:2]}
        what = did_you_mean(name, known) if known else "it is empty"
        raise UserError(f"there is no '{name}' in the trash of {out}: {what}")
    if len(meant) > 1:
        several = ", ".join(each.path.name for each in meant)
        raise UserError(f"{len(meant)} are called '{name}' in the trash: name one of {several}")
    return meant[0]


def clear_leftovers(out: Path) -> None:
    """Remove what a process that died had begun to remove from the trash."""
    for folder in [out / TRASH, *out.glob(f"*/{TRASH}")]:
        files.remove_leftovers(folder)


def _runs_of(path: Path) -> list[Run]:
    """Return the runs that a run or a study holds.

    Raises:
        UserError: it is neither.
    """
    place = path.absolute()
    if in_trash(place):
        raise UserError(f"{path} is in the trash already: `lmcompare rm --empty` removes it")
    if path.is_file():
        raise UserError(f"{path} is a file: name the folder of a run or a study")
    if path.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"{path} holds the folder that you are in: name a run or a study within it")
    if place.parent.name == Run(place).checkpoints.name and (place / checkpoints.STATE).exists():
        raise UserError(f"{path} is a checkpoint: name its run, {path.parent.parent}")
    if Run(path).record_file.exists():
        return [Run(path)]
    runs = [*_runs_in(path)]
    if runs or (path / STUDY_FILE).exists():
        return runs
    try:
        within = find_all([path])
    except UserError:
        raise UserError(f"{path} is neither a run nor a study: name one of these") from None
    names = sorted({run.path.parent.name for run in within})
    raise UserError(f"{path} is a folder of studies: name those that are meant, {', '.join(names)}")


def _runs_in(path: Path) -> Iterator[Run]:
    runs = map(Run, [path, *sorted(path.glob("*/"))])
    return (run for run in runs if run.record_file.exists())
