"""Text files as documents, in bounded memory, however large or broken the file is."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lmcompare.files import checksum
from lmcompare.textfiles import (
    MB,
    cut_lines,
    decode,
    open_text,
    read_all,
    too_long,
    unreadable,
    without_end,
)

Unit = Literal["file", "record", "block", "line"]
UNITS = {
    "file": "files",
    "record": "records",
    "block": "blank-line-separated blocks",
    "line": "lines",
}
CUT_IT = (
    "cut it into smaller documents (data.document = block or line), or raise data.max_document_mb"
)
REPLACE = ", or have such bytes replaced with data.encoding_errors = replace"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How any file is read: the part of the configuration that every source shares."""

    field: str
    encoding_errors: Literal["strict", "replace"]
    max_document_mb: int

    @property
    def limit(self) -> int:
        """Return the most bytes that a document, or a line on the way to one, may have."""
        return self.max_document_mb * MB


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A plain-text file, compressed or not, cut into documents by `unit`."""

    path: Path
    name: str
    unit: Literal["file", "block", "line"]
    rules: Rules

    @property
    def kind(self) -> str:
        """Return what its documents are, in the plural."""
        return UNITS[self.unit]

    def hash(self) -> str:
        """Return the hash of the file as it is on disk."""
        return hash_file(self.path, name=self.name)

    def texts(self) -> Iterator[str]:
        """Yield its documents in order; those of nothing but white space are left out.

        Raises:
            UserError: unreadable, damaged, binary, not UTF-8, or a document beyond the limit.
        """
        with open_text(self.path, name=self.name) as stream:
            for line, offset, raw in self._documents(stream):
                text = decode(
                    raw,
                    name=self.name,
                    line=line,
                    offset=offset,
                    errors=self.rules.encoding_errors,
                    remedy=REPLACE,
                )
                if not text.isspace() and text:
                    yield text

    def _documents(self, stream: io.BufferedReader) -> Iterator[tuple[int, int, bytes]]:
        limit = self.rules.limit
        if self.unit == "file":
            what = f"the document of '{self.name}'"
            yield 1, 0, read_all(stream, limit=limit, what=what, remedy=CUT_IT)
        elif self.unit == "line":
            for number, offset, raw in cut_lines(
                stream, name=self.name, limit=limit, remedy=CUT_IT
            ):
                yield number, offset, without_end(raw)
        else:
            yield from self._blocks(stream)

    def _blocks(self, stream: io.BufferedReader) -> Iterator[tuple[int, int, bytes]]:
        block: list[bytes] = []
        first, start, size, limit = 1, 0, 0, self.rules.limit
        for number, offset, raw in cut_lines(stream, name=self.name, limit=limit, remedy=CUT_IT):
            if not raw.isspace():
                first, start = (first, start) if block else (number, offset)
                block.append(raw)
                size += len(raw)
                if size > limit:
                    what = f"the block that ends in line {number} of '{self.name}'"
                    raise too_long(what, limit, CUT_IT)
            elif block:
                yield first, start, b"".join(block).rstrip(b"\r\n")
                block, size = [], 0
        yield first, start, b"".join(block).rstrip(b"\r\n")


def hash_file(path: Path, *, name: str) -> str:
    """Return the hash of a file's bytes, in hexadecimal.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return checksum(path, fast=True)  # the largest file of all, and known to caches alone
    except OSError as error:
        raise unreadable(error, name) from error
