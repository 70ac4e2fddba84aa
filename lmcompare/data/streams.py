"""Standard input and pipes: read once a process, and kept in a file until the process ends.

A killed process leaves its files behind; since a living one holds their locks, those whose lock is
free are removed by the next process that keeps a stream or prepares a text.
"""

import atexit
import re
import stat
import sys
from io import BufferedIOBase
from pathlib import Path
from typing import cast
from uuid import uuid4

from filelock import FileLock

from lmcompare.data.locks import lock_of, locked_if_free
from lmcompare.errors import UserError
from lmcompare.files import explained
from lmcompare.paths import user_path
from lmcompare.textfiles import unreadable

STANDARD_INPUT = "-"
PREFIX = ".input-"
AT_ONCE = 1 << 20  # bytes
# What such a name means differs between processes.
OF_ONE_PROCESS = re.compile(r"/dev/(stdin|fd/\d+)|/proc/(self|thread-self|\d+)/fd/\d+")

_kept: dict[object, Path] = {}  # the file of each stream that this process has read


def is_stream(name: str) -> bool:
    """Tell whether what a source of this name holds can be read only once, or by one process."""
    return name == STANDARD_INPUT or bool(OF_ONE_PROCESS.fullmatch(name)) or _is_special(name)


def kept(name: str, *, cache: Path) -> Path:
    """Return the file that holds all of a stream, which is read the first time.

    Args:
        name: `-`, or the path of a pipe.
        cache: the folder for the file.

    Raises:
        UserError: the stream is closed, a terminal, a device, or cannot be read, or the folder is
            not writable.
        OSError: there is no such path.
    """
    if name == STANDARD_INPUT:
        stream = _standard_input()
        if stream not in _kept:
            _kept[stream] = _keep(stream, "standard input", cache)
        return _kept[stream]
    path = user_path(name)
    about = path.stat()
    if stat.S_ISCHR(about.st_mode):
        raise UserError(f"'{name}' is a terminal or a device, not a text: name a file, or a pipe")
    pipe = (name, about.st_dev, about.st_ino)
    if pipe not in _kept:
        with path.open("rb") as opened:
            _kept[pipe] = _keep(opened, name, cache)
    return _kept[pipe]


def remove_abandoned(cache: Path) -> None:
    """Remove what killed processes kept of their streams."""
    for path in cache.glob(f"{PREFIX}*"):
        if path.suffix == ".lock":
            continue
        with locked_if_free(path) as free:
            if free:
                path.unlink(missing_ok=True)
                _lock_file(path).unlink(missing_ok=True)


def _is_special(name: str) -> bool:
    try:
        mode = user_path(name).stat().st_mode
    except (OSError, UserError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _standard_input() -> BufferedIOBase:
    stream = None if sys.stdin is None else cast(BufferedIOBase, sys.stdin.buffer)
    if stream is None or stream.closed:
        raise UserError("standard input is closed: pipe text into it, or name a file")
    if stream.isatty():
        raise UserError("standard input is a terminal: pipe text into it, or name a file")
    return stream


def _keep(stream: BufferedIOBase, name: str, cache: Path) -> Path:
    remove_abandoned(cache)
    with explained(cache):
        cache.mkdir(parents=True, exist_ok=True)
        # The lock comes before the file, so that nobody takes the file for abandoned.
        path = cache / f"{PREFIX}{uuid4().hex}"
        lock = lock_of(path)
        lock.acquire()
    atexit.register(_remove, path, lock)
    try:
        with explained(cache), path.open("xb") as file:
            while part := _read(stream, name):
                file.write(part)
    except BaseException:
        _remove(path, lock)
        raise
    return path


def _read(stream: BufferedIOBase, name: str) -> bytes:
    try:
        return stream.read(AT_ONCE)
    except OSError as error:
        raise unreadable(error, name) from error


def _remove(path: Path, lock: FileLock) -> None:
    path.unlink(missing_ok=True)
    _lock_file(path).unlink(missing_ok=True)
    lock.release()


def _lock_file(path: Path) -> Path:
    return Path(lock_of(path).lock_file)
