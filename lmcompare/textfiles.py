"""Text files that users give: decompressed, decoded and cut into lines in bounded memory.

Whatever is read line by line is read here, so that a line is the same everywhere. It ends
at a newline (LF), and a carriage return (CR) before that belongs to the end; what else Unicode
takes for the end of a line (U+0085, U+2028, U+2029) is text. Where a file has CR alone, that ends
its lines. A byte-order mark at the start is dropped. Byte offsets in errors count in the
decompressed file, where an editor or `tail -c` finds them.
"""

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

from lmcompare.errors import UserError

BOM = b"\xef\xbb\xbf"
MB = 1_000_000
LONGEST_LINE = 64 * MB  # bytes
LARGEST_FILE = 512 * MB  # bytes of a file that is read as a whole
BUFFER = 1 << 18  # bytes
# Written text is never packed so tightly, while a file of one repeated character is packed about a
# thousandfold or more. Small files are not checked.
MOST_EXPANSION = 500
SMALL = 16 * MB
PACKED = 1 << 14  # bytes that are unpacked at once
# A zstandard block expands 4 bytes to 128 KB at worst: this bounds one step to 32 MB.
ZSTD_CHUNK = 1024


class Line(NamedTuple):
    """A line with its end; `number` counts from 1, `offset` bytes from 0."""

    number: int
    offset: int
    raw: bytes


@contextmanager
def open_text(path: Path, *, name: str | None = None) -> Iterator[io.BufferedReader]:
    """Open a text file as bytes, decompressed as its suffix says.

    Raises:
        UserError: it cannot be opened, its end is missing, it is not what its suffix says, it holds
            NUL bytes, or it is packed more tightly than any text.
    """
    name = name or str(path)
    damaged: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: of a name that no file can have
        raise unreadable(error, name) from error
    try:
        with file:
            packed = stream = _Counted(file, most=PACKED)
            match path.suffix.lower():
                case ".gz":
                    stream = _Counted(gzip.GzipFile(fileobj=cast(BinaryIO, packed)))
                case ".xz":
                    stream = _Counted(lzma.LZMAFile(cast(BinaryIO, packed)))  # noqa: SIM115
                case ".zst":
                    frames = _Zstandard(packed, name=name)
                    damaged += (frames.error,)
                    stream = _Counted(frames)
            yield io.BufferedReader(_Text(stream, packed=packed, name=name), BUFFER)
    except damaged as error:
        raise UserError(
            f"'{name}' is damaged or cut short ({str(error).rstrip('.')}): "
            "copy or download it again"
        ) from error
    except OSError as error:
        raise unreadable(error, name) from error


def unreadable(error: OSError | ValueError, name: str) -> UserError:
    """Return the error about a file that the system will not let us read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return UserError(f"'{name}' cannot be read: {reason}; check the path and its permissions")


def as_text(stream: BinaryIO, *, name: str) -> io.BufferedReader:
    """Guard a stream that is open already, such as standard input, as `open_text` does."""
    counted = _Counted(stream)
    return io.BufferedReader(_Text(counted, packed=counted, name=name), BUFFER)


def cut_lines(
    stream: io.BufferedReader, *, name: str, limit: int = LONGEST_LINE, remedy: str = "cut it"
) -> Iterator[Line]:
    """Yield the lines of a file as bytes.

    Args:
        stream: as `open_text` gives it.
        name: of the file, for errors.
        limit: bytes of a line.
        remedy: for a line that is longer.

    Raises:
        UserError: a line is longer.
    """
    number = offset = 0
    while raw := stream.readline(limit + 1):
        pieces = [raw]
        if number == 0 and b"\r" in raw.rstrip(b"\r\n") and (len(raw) > limit or not stream.peek()):
            pieces = [piece.replace(b"\r", b"\n") for piece in raw.splitlines(keepends=True)]
        for piece in pieces:
            number += 1
            if len(raw) > limit:
                raise (
                    _only_carriage_returns(name)
                    if len(pieces) > 1
                    else too_long(f"line {number} of '{name}'", limit, remedy)
                )
            yield Line(number, offset, piece)
            offset += len(piece)


def read_all(stream: io.BufferedReader, *, limit: int, what: str, remedy: str) -> bytes:
    """Read all of a file in pieces, as one read of `limit` bytes would take that memory at once.

    Raises:
        UserError: `what` has more bytes than `limit`, and the `remedy`.
    """
    raw = bytearray()
    while part := stream.read(BUFFER):
        raw += part
        if len(raw) > limit:
            raise too_long(what, limit, remedy)
    return bytes(raw)


def too_long(what: str, limit: int, remedy: str) -> UserError:
    """Return the error about a line or a document beyond its limit in bytes."""
    return UserError(f"{what} is longer than {limit / MB:g} MB: {remedy}")


def decode(
    raw: bytes,
    *,
    name: str,
    line: int = 1,
    offset: int = 0,
    errors: Literal["strict", "replace"] = "strict",
    remedy: str = "",
) -> str:
    """Decode UTF-8 bytes, without a byte-order mark at the file's start.

    Args:
        raw: the bytes.
        name: of the file, for errors.
        line: of the file in which they begin.
        offset: of the first of them in the file.
        errors: whether bytes that are not UTF-8 are refused or replaced by U+FFFD.
        remedy: for such bytes, other than to convert the file.

    Raises:
        UserError: they are not UTF-8 and `errors` is strict.
    """
    if offset == 0 and raw.startswith(BOM):
        raw, offset = raw[len(BOM) :], len(BOM)
    try:
        return raw.decode("utf-8", errors=errors)
    except UnicodeDecodeError as error:
        line += raw[: error.start].count(b"\n")
        raise UserError(
            f"'{name}' is not UTF-8: in line {line}, byte {offset + error.start} is "
            f"0x{raw[error.start]:02x}; convert it (`iconv -f latin1 -t utf-8`){remedy}"
        ) from None


def lines_of(stream: io.BufferedReader, *, name: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file as text without their ends, each with its number.

    Raises:
        UserError: one is not UTF-8, or longer than `LONGEST_LINE`.
    """
    for number, offset, raw in cut_lines(stream, name=name):
        yield number, decode(without_end(raw), name=name, line=number, offset=offset)


def without_end(raw: bytes) -> bytes:
    """Return a line without its end."""
    return raw.removesuffix(b"\n").removesuffix(b"\r")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of the file at `path`, as `lines_of`; raise as that and `open_text` do."""
    with open_text(path) as stream:
        yield from lines_of(stream, name=str(path))


def read_whole(path: Path, *, limit: int = LARGEST_FILE) -> str:
    """Read all of a text file, with every end of a line made a newline.

    Raises:
        UserError: as `open_text`, or it is not UTF-8, or has more bytes than `limit`.
    """
    with open_text(path) as stream:
        raw = read_all(stream, limit=limit, what=f"'{path}'", remedy="name another file")
    text = decode(raw, name=str(path)).replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")


def _only_carriage_returns(name: str) -> UserError:
    return UserError(
        f"the lines of '{name}' end with carriage returns alone: convert it first "
        r"(tr '\r' '\n' < OLD > NEW)"
    )


class _Counted:
    """A stream whose bytes are counted as they are read."""

    def __init__(self, stream: Any, *, most: int = BUFFER) -> None:
        self._stream, self._most = stream, most
        self.num_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, and never more than the most at once."""
        part: bytes = self._stream.read(min(size, self._most) if size > 0 else self._most)
        self.num_bytes += len(part)
        return part


class _Text(io.RawIOBase):
    """Bytes of a file, checked as they are read, before many of them are in memory."""

    def __init__(self, stream: _Counted, *, packed: _Counted, name: str) -> None:
        self._stream, self._packed, self._name = stream, packed, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._stream.read(len(buffer))
        if b"\0" in part:
            raise UserError(
                f"'{self._name}' is not text but a binary file, or text in UTF-16: it holds "
                "NUL bytes; give text in UTF-8"
            )
        if self._stream.num_bytes > max(SMALL, MOST_EXPANSION * self._packed.num_bytes):
            raise UserError(
                f"'{self._name}' is packed more than {MOST_EXPANSION}-fold, as no text is that "
                "anybody wrote: if it is meant, decompress it first"
            )
        buffer[: len(part)] = part
        return len(part)


class _Zstandard(io.RawIOBase):
    """Decompressed bytes of a zstandard file of any number of frames.

    The library's own reader takes a file that was cut short for a shorter file; this one raises
    EOFError.
    """

    def __init__(self, file: _Counted, *, name: str) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise UserError(
                f"'{name}' needs the package zstandard: "
                "pip install zstandard, or decompress it first"
            ) from error
        self.error: type[Exception] = zstandard.ZstdError
        self._decompressor: Any = zstandard.ZstdDecompressor()
        self._file = file
        self._frame: Any = None
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            self._compressed = self._compressed or self._file.read(ZSTD_CHUNK)
            if not self._compressed:
                if self._frame is not None:
                    raise EOFError("the compressed file ended before its end-of-stream marker")
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            self._ready = memoryview(self._frame.decompress(self._compressed))
            self._compressed = b""
            if self._frame.eof:
                self._compressed, self._frame = self._frame.unused_data, None
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size
