"""Which files of a folder, or of a pattern, are read; what is left out is counted by its kind."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcompare.paths import COMPRESSED, JSON_LINES, matching, suffix_of

TEXT = ("", ".txt", ".text", ".md", ".rst", ".tex")
PARQUET = (".parquet",)
READ = (*TEXT, *JSON_LINES, *PARQUET)


@dataclass(frozen=True, kw_only=True)
class FoundFiles:
    """Files in the order in which they are read, each once, and how many others there are."""

    files: list[Path]
    left_out: Counter[str]  # by suffix, or by what is the matter

    @property
    def summary(self) -> str:
        """Return a sentence on what is left out."""
        num = self.left_out.total()
        what = ", ".join(f"{count:,} {what}" for what, count in self.left_out.most_common())
        return f"{num:,} of {num + len(self.files):,} files are not read ({what})"


def look_into(folder: Path, types: Sequence[str] = READ) -> FoundFiles:
    """Find the files of a folder and of those in it, linked ones too; leave out hidden ones.

    Args:
        folder: to look into.
        types: suffixes of the files that are read.
    """
    left_out: Counter[str] = Counter()
    paths: list[Path] = []
    seen: set[tuple[int, int]] = set()

    def closed(_: OSError) -> None:
        left_out["unreadable"] += 1

    for parent, folders, names in os.walk(folder, followlinks=True, onerror=closed):
        here = _identity(Path(parent))
        if here in seen:  # by another name, or a link to what it lies in
            left_out["second name of a folder"] += 1
            folders.clear()
            continue
        seen.add(here)
        left_out["hidden"] += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    return _once(sorted(paths), left_out, types)


def look_up(pattern: str) -> FoundFiles:
    """Find the files that a pattern names, of any type."""
    return _once(matching(pattern), Counter(), None)


def _once(paths: list[Path], left_out: Counter[str], types: Sequence[str] | None) -> FoundFiles:
    files: dict[tuple[int, int], Path] = {}
    for path in paths:
        if fault := _fault(path, types):
            left_out[fault] += 1
        elif files.setdefault(_identity(path), path) != path:
            left_out["second name of a file"] += 1
    return FoundFiles(files=list(files.values()), left_out=+left_out)


def _fault(path: Path, types: Sequence[str] | None) -> str | None:
    """Return why a file is not read; None if it is."""
    if not os.path.exists(path):  # noqa: PTH110 (Path's raise where a folder is closed)
        return "broken link"
    if os.path.isdir(path):  # noqa: PTH112
        return "folder"
    if not os.path.isfile(path):  # noqa: PTH113
        return "not a regular file"
    if types is not None:  # what was named itself is refused with a reason
        if suffix_of(path) not in types or (
            suffix_of(path) in PARQUET and path.suffix.lower() in COMPRESSED
        ):
            return path.suffix
        if not os.access(path, os.R_OK):
            return "unreadable"
    return None


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
