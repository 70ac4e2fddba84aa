"""What was measured of a run's models: a record a result, beside it a line an item.

Each record holds the hashes of its items and of the run that it is of.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.runs.records import ResultRecord

Item = TypeVar("Item", bound=BaseModel)
Kept = TypeVar("Kept", bound=ResultRecord)
Parsed = TypeVar("Parsed")
Warn = Callable[[str], None] | None  # told of results that are damaged and left out; None: an error


@dataclass(frozen=True)
class Results:
    """The folder of a run's results; it may not exist yet."""

    folder: Path
    run_file: Path  # the run's `run.json`

    def write(self, record: Kept, items: Iterable[BaseModel]) -> Kept:
        """Keep a result and its items; one that asked the same of the same text is replaced.

        Returns:
            The result as it is kept, with the hashes of its items and of the run.
        """
        place = self._file(record)
        lines = "".join(item.model_dump_json() + "\n" for item in items)
        files.write_text(place.with_suffix(".jsonl"), lines)
        items_hash = files.checksum(place.with_suffix(".jsonl"))
        kept = record.model_copy(update={"run_hash": self._run(), "items_hash": items_hash})
        kept.write(place)
        before = self._former_file(record)
        if before and before != place:
            before.unlink()
            before.with_suffix(".jsonl").unlink(missing_ok=True)
        return kept

    def amend(self, record: Kept, **more: object) -> Kept:
        """Keep what more is known of a result, if anything; its items stay.

        Results of schema 1 stay as they are, and so do all where nothing can be written.
        """
        known = record.model_copy(update=more)
        if known != record and record.verified:
            with suppress(UserError):
                known.write(self._file(record))
        return known

    def measured(self, record: ResultRecord) -> str:
        """Return when its file was written, ISO 8601 in UTC.

        It is empty, and so before all others, where the file has a name that is given no more.
        """
        file = self.file_of(record)
        return time_of(file) if file.exists() else ""

    def id_of(self, record: ResultRecord) -> str:
        """Return what a user may name the result by; no two of any runs share it."""
        return self.id_of_file(self._file(record))

    def id_of_file(self, file: Path) -> str:
        """Return the same of a result by the name of its file."""
        name = f"{self.folder.resolve() / file.stem}"
        return blake2b(name.encode(errors="surrogateescape"), digest_size=4).hexdigest()

    def _run(self) -> str | None:
        return files.checksum(self.run_file) if self.run_file.exists() else None

    def _file(self, record: ResultRecord) -> Path:
        return self.folder / f"{files.name_of(record.stem)}.json"

    def _former_file(self, record: ResultRecord) -> Path | None:
        """Return the file of a result of schema 1, whose name could be another's, or None."""
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in record.stem)
        file = self.folder / f"{name}.json"
        return file if os.path.exists(file) else None  # noqa: PTH110 (Path's raises if too long)

    def file_of(self, record: ResultRecord) -> Path:
        """Return where a result is that was read, also one of schema 1."""
        former = None if record.verified else self._former_file(record)
        return former or self._file(record)

    def items_file_of(self, record: ResultRecord) -> Path:
        """Return where its items are."""
        return self.file_of(record).with_suffix(".jsonl")

    def read(self, kind: type[Kept], warn: Warn = None) -> list[Kept]:
        """Return all results of a kind that were measured so far.

        Args:
            kind: the class of their records.
            warn: told of results that are damaged and left out.

        Raises:
            UserError: one is damaged, and there is no `warn`.
        """
        found = []
        for path in sorted(self.folder.glob(f"{kind.prefix}-*.json")):
            try:
                found.append(self.read_file(kind, path))
            except UserError as error:
                if warn is None:
                    raise
                warn(f"left out: {error}")
        return found

    def read_file(self, kind: type[Kept], file: Path) -> Kept:
        """Read one result, and make sure that it is of this run and its items are as they were.

        Raises:
            UserError: it is damaged, or of another run.
        """
        record = kind.read(file)
        if record.run_hash not in (None, self._run()):
            raise UserError(f"{file} is a result of another run: {record.remedy}")
        self._require_items(record, file.with_suffix(".jsonl"))
        return record

    def _require_items(self, record: ResultRecord, place: Path) -> None:
        try:
            if record.items_hash in (None, files.checksum(place)):
                return
        except OSError:
            pass
        raise UserError(f"{place} is missing or damaged: {record.remedy}")

    def items(self, record: ResultRecord, kind: type[Item]) -> list[Item]:
        """Return the items behind a result.

        Args:
            record: a result that was read here.
            kind: the class of its items.

        Raises:
            UserError: they are missing or broken.
        """
        return self.parsed(record, kind.model_validate_json)

    def parsed(self, record: ResultRecord, parse: Callable[[bytes], Parsed]) -> list[Parsed]:
        """Return the same as `parse` makes it of each line, where all of an item is too much.

        Raises:
            UserError: they are missing or broken.
        """
        place = self.items_file_of(record)
        self._require_items(record, place)
        try:
            return [parse(line) for line in lines_of(place)]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{place} is missing or damaged: {record.remedy}") from None

    def keep_items(self, record: ResultRecord, items: Iterable[BaseModel]) -> None:
        """Append items to those of a result that is not complete.

        Raises:
            UserError: the disk is full or the folder not writable.
        """
        place = self._unfinished_file(record)
        lines = (item.model_dump_json().encode() for item in items)
        with files.explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("ab") as file:
                file.writelines(self._proof(line) + b" " + line + b"\n" for line in lines)

    def kept_items(self, record: ResultRecord, kind: type[Item]) -> list[Item]:
        """Return the items of a result that is not complete, up to one that is damaged.

        A line that stands there twice, as after a copy that went wrong, is one item.
        """
        place = self._unfinished_file(record)
        if not place.exists():
            return []
        whole, items = b"", list[Item]()
        for line in dict.fromkeys(lines_of(place)):
            proof, _, item = line.partition(b" ")
            if not line.endswith(b"\n") or proof != self._proof(item[:-1]):
                files.write_bytes(place, whole)
                break
            whole += line
            items.append(kind.model_validate_json(item))
        return items

    def _proof(self, line: bytes) -> bytes:
        """Return the proof that a line is of this run, as it was written."""
        return blake2b(line, key=(self._run() or "").encode(), digest_size=8).hexdigest().encode()

    def forget_items(self, record: ResultRecord) -> None:
        """Drop the items of a result that was not completed."""
        self._unfinished_file(record).unlink(missing_ok=True)

    def _unfinished_file(self, record: ResultRecord) -> Path:
        return self._file(record).with_suffix(".unfinished")


def time_of(file: Path) -> str:
    """Return when a file was written, ISO 8601 in UTC."""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat()


def lines_of(place: Path) -> Iterator[bytes]:
    """Return the lines of a file of JSON lines, in which only a line feed ends a line."""
    with place.open("rb") as file:
        yield from file
