"""Offer the shell what a word that is half typed may become.

It must answer in an instant and say nothing of what is broken, so it looks at names of files alone
and imports no torch. What only the library knows is in `words.json`, which `docs/make_words.py`
makes and a test holds to the code.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from lmcompare.runs.places import EXPERIMENTS, STUDY_FILE, TRASH

Offered = list[tuple[str, str]]  # words with what they are
Function = Callable[..., Iterable[tuple[str, str]]]
WORDS = Path(__file__).with_name("words.json")


def _offered(function: Function) -> Callable[[typer.Context, str], Offered]:
    """Return a function for Typer: what begins as what is typed, nothing where anything fails."""

    @wraps(function)
    def offer(ctx: typer.Context, incomplete: str) -> Offered:
        try:
            out = Path(ctx.params.get("out") or EXPERIMENTS)
            found = [*function(out, incomplete)]
        except Exception:  # a shell has no place for an error
            return []
        # a name that a terminal would obey cannot be typed either
        return [each for each in found if each[0].startswith(incomplete) and _plain(each[0])]

    offer.__annotations__ = {"ctx": typer.Context, "incomplete": str, "return": Offered}
    del offer.__wrapped__
    return offer


def _plain(name: str) -> bool:
    return name.isprintable() and not any(each.isspace() for each in name)


@_offered
def places(out: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer studies, and the runs of the one that is typed, by their names or their paths."""
    yield from _within(out, "", incomplete)
    yield from _within(Path(), "", incomplete)


def _within(folder: Path, typed: str, incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield the studies and runs in a folder; of what is typed in full, what is within it.

    Args:
        folder: to look into.
        typed: how a user writes what lies in it.
        incomplete: what is typed.
    """
    found = [path for path in _folders(folder) if f"{typed}{path.name}".startswith(incomplete)]
    entered = [path for path in _folders(folder) if incomplete.startswith(f"{typed}{path.name}/")]
    for path in found:
        if what := _kind(path):
            yield f"{typed}{path.name}", what
    if incomplete and len(found) == 1 and not (found[0] / "run.json").exists():
        entered.append(found[0])
    for path in entered:
        yield from _within(path, f"{typed}{path.name}/", incomplete)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.is_dir())
    except OSError:
        return []


def _kind(path: Path) -> str:
    """Return what a folder is; nothing if it is neither a run nor a study nor holds some."""
    if (path / "run.json").exists():
        return "run"
    if (path / STUDY_FILE).exists() or any((each / "run.json").exists() for each in _folders(path)):
        return "study"
    within = (each for inner in _folders(path) for each in _folders(inner))
    return "studies" if any((each / "run.json").exists() for each in within) else ""


@_offered
def studies(out: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer the names of studies."""
    return ((path.name, "study") for path in _folders(out) if _kind(path) == "study")


@_offered
def thrown(out: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer what is in the trash."""
    for folder in (out / TRASH, *(each / TRASH for each in _folders(out))):
        for path in folder.iterdir() if folder.is_dir() else ():
            if not path.name.startswith("."):
                yield path.name, str(folder.parent)


@_offered
def tags(out: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer the tags of all runs."""
    found = dict[str, str]()
    for path in out.glob("*/*/notes.json"):
        try:
            own = json.loads(path.read_bytes())["tags"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        found |= {tag: "tag" for tag in own if isinstance(tag, str)}
    yield from found.items()


def _known(kind: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(WORDS.read_text("utf-8"))[kind]
    return found


@_offered
def objectives(out: Path, incomplete: str) -> Iterable[tuple[str, str]]:
    """Offer objectives."""
    return _known("objectives").items()


@_offered
def settings(out: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer the keys of settings, each with the sign that a value follows."""
    return ((f"{key}=", what) for key, what in _known("settings").items())


@_offered
def tasks(out: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer what `eval --tasks` knows, after a comma too."""
    return _after_commas(_known("tasks"), incomplete)


@_offered
def probing_tasks(out: Path, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer what `probe --tasks` knows, after a comma too."""
    return _after_commas(_known("probing tasks"), incomplete)


def _after_commas(known: dict[str, str], incomplete: str) -> Iterator[tuple[str, str]]:
    before, comma, _ = incomplete.rpartition(",")
    return ((f"{before}{comma}{name}", what) for name, what in known.items())


# of options that are made from a model: its name and the field's
OF_FIELDS: dict[tuple[str, str], Callable[..., Any]] = {("probes", "tasks"): probing_tasks}
