"""All that lies in the folder of a run's results, the damaged and the unfinished too."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.evaluation.registry import kinds
from lmcompare.evaluation.selection import Facets, facets_of
from lmcompare.runs.checkpoints import place_of
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.results import Results, lines_of, time_of
from lmcompare.runs.run import Run

UNFINISHED = ".unfinished"


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """A result as it lies in a run's folder, or what is left of one."""

    run: Run
    file: Path  # its record; else its items without a record, or the answers of an unfinished one
    id: str  # what a user may name it by
    measured: str  # ISO 8601 in UTC
    record: ResultRecord | None  # None: it is damaged or unfinished
    fault: str | None = None  # what is the matter with it
    num_answers: int | None = None  # that an unfinished one has

    @property
    def facets(self) -> Facets:
        """Return what it may be selected by."""
        if self.record is not None:
            return facets_of(self.record, id=self.id)
        kind = kinds()[_prefix(self.file)].name
        state = "damaged" if self.num_answers is None else "unfinished"
        return Facets({"id": [self.id], "kind": [kind], "state": [state]})

    @property
    def files(self) -> list[Path]:
        """Return all its files, the record first."""
        if self.file.suffix == UNFINISHED:
            return [self.file]
        return [*dict.fromkeys((self.file, self.file.with_suffix(".jsonl")))]

    @property
    def headline(self) -> tuple[float, str] | None:
        """Return its most telling figure and the unit; None if it has none."""
        return None if self.record is None else self.record.headline

    def remove(self) -> None:
        """Remove the result with its items, so that it is as if it had never been measured.

        Raises:
            UserError: the folder is not writable.
        """
        for file in self.files:
            with files.explained(file):
                file.unlink(missing_ok=True)


def stored_results(runs: Iterable[Run]) -> list[StoredResult]:
    """Return all results of some runs, also those of their earlier models."""
    return [each for run in runs for folder in _models(run) for each in _stored(folder)]


def _models(run: Run) -> Iterator[Run]:
    yield run
    if run.at is None:
        for folder in sorted(run.results.folder.glob("step-*/")):
            step = folder.name.removeprefix("step-")
            if step.isdecimal() and folder == place_of(run.results.folder, int(step)):
                yield Run(run.path, at=int(step))


def _stored(run: Run) -> Iterator[StoredResult]:
    results = run.results
    for file in sorted(results.folder.glob("*")):
        if _prefix(file) not in kinds() or not file.is_file():
            continue
        if file.suffix == ".json":
            yield _read(run, results, file)
        elif file.suffix == ".jsonl" and not _exists(file.with_suffix(".json")):
            yield _without_record(run, file, fault="its items are there, and its record is missing")
        elif file.suffix == UNFINISHED:
            num = sum(1 for _ in lines_of(file))
            fault = f"unfinished: {num:,} answers, which the same `lmcompare eval` goes on from"
            yield _without_record(run, file, fault=fault, num_answers=num)


def _read(run: Run, results: Results, file: Path) -> StoredResult:
    try:
        record = results.read_file(kinds()[_prefix(file)].record, file)
    except UserError as error:
        return _without_record(run, file, fault=str(error))
    return StoredResult(
        run=run,
        file=file,
        id=results.id_of(record),
        measured=time_of(file),
        record=record,
    )


def _without_record(
    run: Run, file: Path, *, fault: str, num_answers: int | None = None
) -> StoredResult:
    name = file if num_answers is None else file.with_name(file.name + ".json")
    return StoredResult(
        run=run,
        file=file,
        id=run.results.id_of_file(name),
        measured=time_of(file),
        record=None,
        fault=fault,
        num_answers=num_answers,
    )


def _prefix(file: Path) -> str:
    return file.name.partition("-")[0]


def _exists(file: Path) -> bool:
    return os.path.lexists(file)
