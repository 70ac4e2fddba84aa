"""Writing so that a file or folder is there whole or not at all, and the names of files.

What is being written has a name of its own, beginning with `.lmcompare-`, and its writer holds a
lock on it, which the system releases when a process dies, however it dies. So a process that writes
into a folder knows what a killed process left there, and removes it: neither a reused process
number nor another container can mislead it.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from secrets import token_hex

from lmcompare.errors import UserError

LONGEST_NAME = 100  # bytes; systems allow 255, and suffixes come after it
_NEW, _OLD = ".lmcompare-new-", ".lmcompare-old-"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the ways in which writing under `path` can fail into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise UserError(
                f"the disk is full: {path} could not be written; free some space and run the same "
                "command again, what was finished before is intact"
            ) from error
        raise UserError(
            f"{path} cannot be written ({error.strerror}): choose a folder that you may write to"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the ways in which reading `path` can fail into sentences."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is missing: bring it back from a copy") from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): see to it that you may read it"
        ) from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        UserError: the disk is full or the folder is not writable; the old content stays.
    """
    with explained(path), _begun(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as (new, descriptor):
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
        new.replace(path)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, content.encode())


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Make a temporary folder to fill, which takes the name `path` when the block ends well.

    Args:
        path: a folder that is empty or not there, unless it is replaced.
        replace: drop what is there, once the new one is complete.

    Raises:
        UserError: as `write_bytes`; nothing is left behind, and what was there stays.
    """
    with explained(path), _begun(path, os.O_RDONLY | os.O_DIRECTORY) as (new, descriptor):
        yield new
        for file in new.rglob("*"):
            sync(file)
        os.fsync(descriptor)
        old = _old(new)
        try:
            if replace and path.exists():
                path.rename(old)
            new.rename(path)
            sync(path.parent)
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder that is removed when the block ends; that of a dead process at the next start.

    Args:
        path: beside which it is made, and after which it is named.

    Raises:
        UserError: the disk is full or the folder is not writable.
    """
    with explained(path), _begun(path, os.O_RDONLY | os.O_DIRECTORY) as (folder, _):
        yield folder


@contextmanager
def _begun(path: Path, flags: int) -> Iterator[tuple[Path, int]]:
    """Begin what will become `path`: a locked file or folder, removed if it is there afterwards.

    Args:
        path: where it will be.
        flags: for opening it.

    Yields:
        Its path until then, and its descriptor.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    while True:
        new = path.with_name(f"{_NEW}{token_hex(4)}-{name_of(path.name)}")
        if flags & os.O_DIRECTORY:
            new.mkdir()  # unlike the tempfile module's, readable as the user's umask says
        with suppress(FileNotFoundError):  # taken for a leftover before it was locked
            descriptor = os.open(new, flags, 0o666)
            if lock(descriptor) is not False and new.exists():
                break
            os.close(descriptor)
    try:
        yield new, descriptor
    finally:
        _remove(new)
        os.close(descriptor)


def _old(new: Path) -> Path:
    """Return where what `new` replaces is put aside for a moment."""
    return new.with_name(new.name.replace(_NEW, _OLD, 1))


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that are dead had begun to write into a folder.

    What such a process had put aside comes back, if nothing took its place.
    """
    for new in folder.glob(f"{_NEW}*"):
        with suppress(OSError), opened(new) as descriptor:
            if lock(descriptor):
                target, old = new.with_name(new.name[len(_NEW) + 9 :]), _old(new)
                if old.exists() and not target.exists():
                    old.rename(target)
                _remove(new)
    for old in folder.glob(f"{_OLD}*"):
        if not old.with_name(old.name.replace(_OLD, _NEW, 1)).exists():
            _remove(old)


def remove_folder(path: Path) -> None:
    """Remove a folder so that it is there whole or not at all; raise as `write_bytes`."""
    old = path.with_name(f"{_OLD}{token_hex(4)}-{name_of(path.name)}")
    with explained(path):
        path.rename(old)
        shutil.rmtree(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool | None:
    """Lock an open file until it is closed: False if another has; None where there are no locks."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """Yield the descriptor of an open file or folder."""
    descriptor = os.open(path, flags, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Make sure that what was written to a file or folder has reached the disk."""
    with opened(path) as descriptor:
        os.fsync(descriptor)


def checksum(path: Path, *, size: int | None = None, fast: bool = False) -> str:
    """Return the hash of a file's content, or of its first `size` bytes, in hexadecimal.

    Args:
        path: the file.
        size: how many bytes; by default all.
        fast: take SHA-256, for which processors have instructions, and not the BLAKE2b that is in
            every record.

    Raises:
        OSError: it cannot be read.
    """
    state = state_of(path)
    return _checksum(path, state[2] if size is None else size, fast, state)


def state_of(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does.

    Raises:
        OSError: it cannot be read.
    """
    now = path.stat()
    return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


@lru_cache(maxsize=4096)
def _checksum(path: Path, left: int, fast: bool, state: tuple[int, ...]) -> str:
    """Do the same; a file that stays as it is is read once a process."""
    digest = sha256() if fast else blake2b(digest_size=16)
    with path.open("rb") as file:
        while left > 0 and (part := file.read(min(left, 1 << 20))):
            digest.update(part)
            left -= len(part)
    return digest.hexdigest()


def checksum_of(content: bytes) -> str:
    """Return the `checksum` of a file that holds `content`."""
    return blake2b(content, digest_size=16).hexdigest()


def name_of(text: str) -> str:
    """Return a file name for what is called `text`: readable, short, and one for each text.

    What no name should hold becomes `_`, and what is too long loses its middle; either is told
    from others by a hash at the end.
    """
    name = "".join(each if each.isalnum() or each in "-_." else "_" for each in text)
    if name and name == text and len(name.encode()) <= LONGEST_NAME and not name.startswith("."):
        return name
    key = blake2b(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    half = (LONGEST_NAME - len(key) - 2) // 2
    if len(name.encode()) > 2 * half:
        start, end = name.encode()[:half], name.encode()[-half:]
        name = f"{start.decode(errors='ignore')}-{end.decode(errors='ignore')}"
    return f"{name.lstrip('.')}-{key}"
