"""Which runs a path means, and which model of a run; what is damaged is reported, or an error."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.parsing import listed
from lmcompare.runs import checkpoints
from lmcompare.runs.places import in_trash
from lmcompare.runs.run import Run


def find_runs(places: Iterable[Path], *, warn: Callable[[str], None] = lambda _: None) -> list[Run]:
    """Find all runs at `places`: run directories, studies, study files, or folders of studies.

    A checkpoint's folder stands for its run as it was then.

    Args:
        places: where to look.
        warn: told of runs within a study that cannot be read, which are left out.

    Raises:
        UserError: a place that does not exist or holds no run that can be read; a run that is named
            and cannot be read.
    """
    return _find(places, Run.record, warn)


def find_all(places: Iterable[Path]) -> list[Run]:
    """Find runs as `find_runs` does, those that cannot be read too."""
    return _find(places, lambda run: None, lambda text: None)


def find_models(places: Iterable[Path], *, warn: Callable[[str], None]) -> list[Run]:
    """Find runs as `find_runs` does, only those with a good checkpoint and its tokenizer."""
    return _find(places, _require_model, warn)


def with_models(runs: Iterable[Run], *, warn: Callable[[str], None]) -> list[Run]:
    """Return those of some runs that have a good checkpoint, and a tokenizer for it.

    Raises:
        UserError: none has, or there is no run.
    """
    runs = list(runs)
    if not runs:
        raise UserError("there is no run to choose from: start one with `lmcompare train`")
    return list(_good(runs, f"the {len(runs)} runs", _require_model, warn))


def _require_model(run: Run) -> None:
    if run.record().imported is not None:
        from lmcompare.runs.imported import require

        return require(run)
    run.tokenizer()
    load_checkpoint(run, warn=lambda _: None)


def _find(
    places: Iterable[Path], require: Callable[[Run], object], warn: Callable[[str], None]
) -> list[Run]:
    found: dict[tuple[Path, int | None], Run] = {}
    for place in places:
        folder = place.parent if place.is_file() else place
        if in_trash(folder.absolute()):
            raise UserError(f"{place} is in the trash: `lmcompare rm --restore NAME` puts it back")
        if not folder.exists():
            raise UserError(
                f"there is no run or study at {place}: start one with `lmcompare train`"
            )
        runs = _named(folder)
        for run in runs:
            require(run)
        runs = runs or list(_within(folder, require, warn))
        if not runs:
            raise UserError(f"{place} holds no run yet: start one with `lmcompare train`")
        found |= {(run.path.resolve(), run.at): run for run in runs}
    return list(found.values())


def _named(folder: Path) -> list[Run]:
    """Return the run that a folder is, or that it is a checkpoint of."""
    run = Run(folder.parent.parent)
    step = folder.name.removeprefix("step-")
    if step.isdecimal() and folder == checkpoints.place_of(run.checkpoints, int(step)):
        return [Run(run.path, at=int(step))]
    return [Run(folder)] if _is_there(Run(folder)) else []


def _is_there(run: Run) -> bool:
    with files.reading(run.path):
        try:
            run.record_file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def _within(
    folder: Path, require: Callable[[Run], object], warn: Callable[[str], None]
) -> Iterator[Run]:
    """Yield the good runs of a study, or of a folder of studies; raise as `_good`."""
    paths = sorted([*folder.glob("*/"), *folder.glob("*/*/")])
    runs = [Run(path) for path in paths if not in_trash(path.relative_to(folder))]
    return _good(runs, f"the runs in {folder}", require, warn)


def _good(
    runs: Iterable[Run],
    which: str,
    require: Callable[[Run], object],
    warn: Callable[[str], None],
) -> Iterator[Run]:
    """Yield those of some folders that are runs, and good ones.

    Raises:
        UserError: none of the runs that are there is good.
    """
    bad: list[UserError] = []
    num_good = 0
    for run in runs:
        try:
            if not _is_there(run):
                continue
            require(run)
        except UserError as error:
            bad.append(error)
            warn(f"left out: {error}")
            continue
        num_good += 1
        yield run
    if bad and not num_good:
        raise UserError(f"none of {which} can be used; the first of {len(bad)}: {bad[0]}")


def load_checkpoint(run: Run, *, warn: Callable[[str], None]) -> checkpoints.Checkpoint:
    """Return the model of a run that is meant: the last, or until then the newest good one.

    Raises:
        UserError: there is none.
    """
    if (imported := run.record().imported) is not None:
        raise UserError(
            f"{run.path} has no checkpoint, as it stands for {imported.source}, which was trained "
            "elsewhere"
        )
    own, done = run.hash, run.done()
    if run.at is not None:
        return checkpoints.check(checkpoints.place_of(run.checkpoints, run.at), run=own)
    if done is not None:
        return _last_checkpoint(run, own, done.spent.steps)
    checkpoint = checkpoints.latest(run.checkpoints, run=own, warn=warn)
    if checkpoint is None:
        raise UserError(
            f"the run {run.path} has no checkpoint yet: let `lmcompare train` continue it first"
        )
    return checkpoint


def at_step(run: Run, step: int) -> Run:
    """Return a run of which the checkpoint of a step is meant.

    Raises:
        UserError: it keeps none of that step.
    """
    kept = sorted(each.spent.steps for each in checkpoints.records(run.checkpoints))
    if step not in kept:
        have = f"has those of steps {listed(map(str, kept))}" if kept else "has none"
        raise UserError(
            f"the run {run.path} has no checkpoint of step {step}: it {have}; which ones a run "
            "keeps, runtime.save_every and runtime.keep say when it is trained"
        )
    return replace(run, at=step)


def every_checkpoint(run: Run, *, warn: Callable[[str], None]) -> Iterator[checkpoints.Checkpoint]:
    """Yield the good checkpoints of a run that were kept, the oldest first.

    Raises:
        UserError: there is none, or the last one of a finished run is not good.
    """
    load_checkpoint(run, warn=lambda _: None)
    yield from checkpoints.every(run.checkpoints, run=run.hash, warn=warn)


def _last_checkpoint(run: Run, own: str, step: int) -> checkpoints.Checkpoint:
    """Return the last checkpoint of a finished run, which no other may replace unasked."""
    try:
        return checkpoints.check(checkpoints.place_of(run.checkpoints, step), run=own)
    except UserError as error:
        older = [
            each.path for each in checkpoints.every(run.checkpoints, run=own, warn=lambda _: None)
        ]
        name = f", or name an older one: {older[-1]}" if older else ""
        raise UserError(
            f"{error}; the run is finished and this is its model: bring it back from a copy, start "
            f"the run again with `again=True`{name}"
        ) from None
