"""The lock of a run: a file that says which process holds it, or held it last."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from lmcompare.errors import UserError
from lmcompare.files import lock, opened

PATIENCE = 1.0  # seconds; a process that checks whether a lock is held holds it for a moment


class Busy(UserError):
    """A run is being written by another live process."""

    def __init__(self, path: Path, holder: str) -> None:
        self.path = path
        super().__init__(
            f"the run {path} is being written by a live process ({holder}): wait for it, or stop "
            "it first"
        )


@contextmanager
def locked(path: Path, words: str) -> Iterator[None]:
    """Hold the lock that the file `path` is; it stays, and says whose it was last.

    Args:
        path: made if it is not there, in the folder of the run.
        words: who holds it, for others.

    Raises:
        Busy: another process holds it.
        OSError: the file cannot be made.
    """
    with opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
        deadline = monotonic() + PATIENCE
        while lock(descriptor) is False:
            if monotonic() > deadline:
                raise Busy(path.parent, _words(descriptor))
            sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, words.encode(), 0)
        yield


def holder(path: Path) -> str | None:
    """Return who holds the lock that a file is; None if nobody does, or nobody can tell."""
    try:
        with opened(path) as descriptor:
            return _words(descriptor) if lock(descriptor, fcntl.LOCK_SH) is False else None
    except OSError:
        return None


def _words(descriptor: int) -> str:
    return os.pread(descriptor, 1000, 0).decode(errors="replace") or "which is starting"
