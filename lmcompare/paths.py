"""Paths as users write them: with `~`, with patterns, or with a slip of the finger."""

import glob
import os
from difflib import get_close_matches
from pathlib import Path

from lmcompare.errors import UserError

COMPRESSED = (".gz", ".xz", ".zst")
JSON_LINES = (".jsonl", ".ndjson")


def suffix_of(path: Path) -> str:
    """Return the suffix that tells a file's type: lower case, without that of the compression."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSED else suffix


def user_path(name: str) -> Path:
    """Return the path that a user wrote, with `~` as a home folder where there is such a user.

    Raises:
        UserError: it has a NUL character, which no path can have.
    """
    if "\0" in name:
        raise UserError(f"{name!r} is not a path, as it holds a NUL character: take that out")
    return Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises for ~nobody)


def cache_folder() -> Path:
    """Return where prepared text is kept: $LMCOMPARE_CACHE, or the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("LMCOMPARE_CACHE") or platformdirs.user_cache_dir("lmcompare"))


def matching(pattern: str, *, folder: Path | None = None) -> list[Path]:
    """Return what a pattern such as `**/*.txt` names, in order; a file of that very name alone.

    Args:
        pattern: a path with `*`, `?`, `[...]` and `**`; its `~` is a home folder.
        folder: that it is relative to; the working directory by default.
    """
    path = (folder or Path()) / user_path(pattern)
    if os.path.lexists(path):
        return [path]
    found = glob.glob(str(user_path(pattern)), root_dir=folder, recursive=True)  # noqa: PTH207
    return sorted((folder or Path()) / name for name in found)


def nearest(path: Path, *others: str) -> str | None:
    """Return the name most like that of `path`, among its neighbours and `others`."""
    try:
        siblings = os.listdir(path.parent)  # noqa: PTH208 (names, not paths)
    except OSError:
        siblings = []
    close = get_close_matches(path.name, [*siblings, *others], n=1)
    return close[0] if close else None
