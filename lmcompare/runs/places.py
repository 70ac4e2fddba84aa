"""Where runs and studies are that a user names by a path, or by their name in `experiments`.

A name may be spelled with composed or decomposed letters: "é" is one character for one keyboard and
two for another, and file systems keep what they are given.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from unicodedata import normalize

from lmcompare.errors import UserError
from lmcompare.files import name_of

EXPERIMENTS = Path("experiments")  # the folder of all studies
STUDY_FILE = "study.toml"
TRASH = ".trash"  # a folder beside what was thrown away, whose runs are found by nothing else


def in_trash(path: Path) -> bool:
    """Tell whether a path leads into the trash."""
    return TRASH in path.parts


def find_places(places: Iterable[Path], *, out: Path = EXPERIMENTS) -> list[Path]:
    """Return the folders and files that are meant.

    Raises:
        UserError: one is not there.
    """
    return [find_place(place, out=out) for place in places]


def find_place(place: Path, *, out: Path = EXPERIMENTS) -> Path:
    """Return the folder or file that is meant: `place`, or else what has that name in `out`.

    Raises:
        UserError: there is neither.
    """
    found = _spelled(place) or _spelled(out / place)
    if found is None:
        known = [*_names(out), *_names(place.parent)]
        plain = {normalize("NFC", path.name): path for path in reversed(known)}
        close = get_close_matches(normalize("NFC", place.name), plain, n=1)
        hint = f"did you mean '{plain[close[0]]}'?" if close else "start one with `lmcompare train`"
        raise UserError(f"there is no run or study at {place}, nor in {out}: {hint}")
    return found


def find_study(study: Path | None, *, out: Path = EXPERIMENTS) -> Path | None:
    """Return the study file that is meant, which may be named by its folder.

    Raises:
        UserError: there is none.
    """
    if study is None:
        return None
    found = find_place(study, out=out)
    return found / STUDY_FILE if found.is_dir() else found


def study_folder(study: Path, *, out: Path = EXPERIMENTS) -> Path:
    """Return the folder of a study file: the one that it lies in, or one in `out` of its name."""
    return study.parent if study.name == STUDY_FILE else out / name_of(study.stem)


def _spelled(path: Path) -> Path | None:
    """Return an existing path that differs in the composition of its letters at most."""
    try:
        if path.exists():
            return path
        found = Path(path.anchor)
        for part in path.relative_to(found).parts:
            exact = found / part
            alike = [each for each in _names(found) if _same(each.name, part)]
            if not exact.exists() and not alike:
                return None
            found = exact if exact.exists() else alike[0]
    except OSError:  # too long a name, or a closed folder
        return None
    return found


def _same(name: str, other: str) -> bool:
    return normalize("NFC", name) == normalize("NFC", other)


def _names(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
