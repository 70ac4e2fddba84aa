"""The record of a prepared corpus, and whether its files are still those that it lists.

The record holds a hash of each file and one of itself, so that nothing that has changed since is
read: not a byte of a token, and not the record.
"""

from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from time import time_ns
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lmcompare.data.corpus import SplitName
from lmcompare.data.split import SplitRecord
from lmcompare.files import checksum, write_text

META = "meta.json"
SETTLED = 2 * 10**9  # ns after which another change of a file shows in its times

_checked: set[tuple[object, ...]] = set()  # folders as they were when they were found whole


class Damaged(Exception):
    """A file of a prepared corpus is not what was written; the message says which, and how."""


class Meta(BaseModel):
    """`meta.json`, written last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[2] = 2  # of this record
    key: str  # the name of the folder
    kind: str  # what its documents are
    vocab_size: int
    tokenizer_hash: str
    splits: dict[SplitName, SplitRecord]
    files: dict[str, str]  # the hash of each file, by its name
    own_hash: str = ""  # of all of the above

    @property
    def hash(self) -> str:
        """Return the hash of the content, which is text in its splits by a tokenizer."""
        return _hash(" ".join(f"{name} {found}" for name, found in sorted(self.files.items())))

    def write(self, folder: Path) -> None:
        """Write the record, with its own hash.

        Raises:
            UserError: the disk is full or the folder not writable.
        """
        sealed = self.model_copy(update={"own_hash": self._expected_hash})
        write_text(folder / META, sealed.model_dump_json(indent=2))

    @staticmethod
    def read(folder: Path) -> "Meta":
        """Read the record of a folder and check it against itself.

        Raises:
            Damaged: it is missing, is not as it was written, or was written by another version.
        """
        try:
            meta = Meta.model_validate_json((folder / META).read_bytes())
        except (OSError, ValidationError):
            raise Damaged(f"{META} is missing, broken or of another version") from None
        if (meta.own_hash, meta.key) != (meta._expected_hash, folder.name):
            raise Damaged(f"{META} is not as it was written")
        return meta

    def check(self, folder: Path) -> None:
        """Compare the files of a folder with their hashes, once a process if they do not change.

        Raises:
            Damaged: one is missing or is not as it was written.
        """
        paths = [folder / name for name in self.files]
        try:
            stats = [path.stat() for path in paths]
            state = (
                self.own_hash,
                *(
                    (each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns)
                    for each in stats
                ),
            )
            if state in _checked:
                return
            now = time_ns()
            with ThreadPoolExecutor() as pool:
                found = dict(zip(self.files, pool.map(checksum, paths), strict=True))
        except OSError as error:
            name = Path(error.filename).name if error.filename else "a file"
            raise Damaged(f"{name} cannot be read: {error.strerror}") from None
        for name, expected in self.files.items():
            if found[name] != expected:
                raise Damaged(f"{name} is not as it was written")
        if all(now - each.st_ctime_ns > SETTLED for each in stats):
            _checked.add(state)

    @property
    def _expected_hash(self) -> str:
        return _hash(self.model_dump_json(exclude={"own_hash"}))


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
