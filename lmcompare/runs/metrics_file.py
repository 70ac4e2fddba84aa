"""`metrics.jsonl`: a line a step, written as training goes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.runs.records import MetricsLine

_LINES = TypeAdapter(list[MetricsLine])


@dataclass(frozen=True)
class MetricsFile:
    """The file, which may not exist yet; a last line that is cut off counts as not there."""

    path: Path

    def lines(self, size: int | None = None) -> Iterator[MetricsLine]:
        """Read the lines of the first `size` bytes, or all of them.

        Raises:
            UserError: a line is broken, or the file cannot be read.
        """
        if not self.path.exists():
            return
        with files.reading(self.path), self.path.open("rb") as file:
            whole = file.read(-1 if size is None else size)
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()
        try:
            yield from _LINES.validate_json(b"[" + b",".join(lines) + b"]")  # far faster than each
        except ValidationError:
            yield from map(self._parsed, lines)

    def last(self, size: int | None = None) -> MetricsLine | None:
        """Read the last of those lines, from its end."""
        if not self.path.exists():
            return None
        with files.reading(self.path), self.path.open("rb") as file:
            end = file.seek(0, os.SEEK_END) if size is None else size
            start = file.seek(max(0, end - 4096))
            whole, _, _ = file.read(end - start).rpartition(b"\n")
        last = whole.rpartition(b"\n")[2]
        return self._parsed(last) if last else None

    def add(self, line: MetricsLine) -> None:
        """Append a line.

        Raises:
            UserError: the disk is full or the file not writable.
        """
        with files.explained(self.path), self.path.open("ab") as file:
            file.write(line.model_dump_json().encode() + b"\n")

    def cut(self, size: int) -> None:
        """Drop what comes after the first `size` bytes.

        Raises:
            UserError: the file is not writable.
        """
        if self.path.exists() and self.path.stat().st_size > size:
            with files.explained(self.path):
                os.truncate(self.path, size)

    def cut_after(self, step: int) -> None:
        """Drop the lines of steps after `step`, where it is not known how many bytes these are."""
        if self.path.exists():
            kept = [line for line in self._whole_lines() if self._parsed(line).step <= step]
            files.write_bytes(self.path, b"".join(kept))

    def _whole_lines(self) -> Iterator[bytes]:
        if self.path.exists():
            with files.reading(self.path), self.path.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))

    def _parsed(self, line: bytes) -> MetricsLine:
        try:
            return MetricsLine.model_validate_json(line)
        except ValidationError:
            raise UserError(
                f"{self.path} holds a line that is not a valid {MetricsLine.__name__}, "
                f"{line[:40]!r}: start the run again with `again=True`"
            ) from None
