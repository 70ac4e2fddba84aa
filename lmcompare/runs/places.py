"""Where runs and studies are that a user names by a path, or by their name in `experiments`.

A model of Hugging Face, `hf:FOLDER-or-NAME[@revision]`, has the folder of a run of its own.

A name may be spelled with composed or decomposed letters: "é" is one character for one keyboard and
two for another, and file systems keep what they are given.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from unicodedata import normalize

from lmcompare.errors import UserError
from lmcompare.files import name_of
from lmcompare.hub import is_hf

EXPERIMENTS = Path("experiments")  # the folder of all studies
STUDY_FILE = "study.toml"
RUN_FILE = "run.json"
DEFAULT = "default"  # the study of what is given by options alone
TRASH = ".trash"  # a folder beside what was thrown away, whose runs are found by nothing else


def in_trash(path: Path) -> bool:
    """Tell whether a path leads into the trash."""
    return TRASH in path.parts


def find_places(
    places: Iterable[Path], *, out: Path = EXPERIMENTS, study: str | None = None
) -> list[Path]:
    """Return the folders and files that are meant.

    Args:
        places: paths, names of studies in `out`, or models of Hugging Face.
        out: the folder of all studies.
        study: the name of that in which models of Hugging Face have their folders; by default the
            first one of the others that are given, or else "default".

    Raises:
        UserError: one is not there.
    """
    given = list(places)
    found = [None if is_hf(str(place)) else find_place(place, out=out) for place in given]
    studies = (_study_of(place) for place in found if place is not None)
    beside = next(filter(None, studies), out / DEFAULT) if study is None else out / name_of(study)
    return [
        _imported(model, beside) if place is None else place
        for model, place in zip(given, found, strict=True)
    ]


def find_place(place: Path, *, out: Path = EXPERIMENTS) -> Path:
    """Return the folder or file that is meant: `place`, or else what has that name in `out`.

    Raises:
        UserError: there is neither.
    """
    if is_hf(str(place)):
        return _imported(place, out / DEFAULT)
    found = _spelled(place) or _spelled(out / place)
    if found is None:
        known = [*_names(out), *_names(place.parent)]
        plain = {normalize("NFC", path.name): path for path in reversed(known)}
        close = get_close_matches(normalize("NFC", place.name), plain, n=1)
        hint = f"did you mean '{plain[close[0]]}'?" if close else "start one with `lmcompare train`"
        raise UserError(f"there is no run or study at {place}, nor in {out}: {hint}")
    return found


def _imported(model: Path, study: Path) -> Path:
    """Return the folder of the run that stands for a model of Hugging Face in a study."""
    from lmcompare.runs.imported import import_model

    return import_model(str(model), study).path


def _study_of(place: Path) -> Path | None:
    """Return the study that a place is, or that the run or the checkpoint there belongs to."""
    folder = place.parent if place.is_file() else place
    for run in (folder, folder.parent.parent):
        if (run / RUN_FILE).exists():
            return run.parent
    is_study = (folder / STUDY_FILE).exists() or any(folder.glob(f"*/{RUN_FILE}"))
    return folder if is_study else None


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
