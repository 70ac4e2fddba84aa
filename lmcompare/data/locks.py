"""Locks between processes that share a cache: what a killed process held is free again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lmcompare.files import explained


def lock_of(path: Path) -> FileLock:
    """Return the lock of a file or folder, which need not exist."""
    return FileLock(path.with_name(path.name + ".lock"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`; other processes that want it wait.

    Raises:
        UserError: the folder that it is in cannot be written to.
    """
    lock = lock_of(path)
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of `path` if nobody else does; yield whether it is held."""
    lock = lock_of(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # its owner lives, or we may only read here
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
