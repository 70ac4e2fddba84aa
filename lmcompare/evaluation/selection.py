"""A small language that selects results by what was measured and how.

A word selects what it names: a kind (`likelihood`, `infilling`, `generation`, `benchmark`,
`probe`), a benchmark or a probing task, the group of one, a text by its name or the beginning of
its hash, a scoring, a method, an id.
A setting selects by its value: `window=128`. Words joined by commas must all hold; of several
selections one is enough. `all` selects everything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcompare.errors import UserError, did_you_mean
from lmcompare.runs.records import ResultRecord

ALL = "all"
SHORTEST_HASH = 4  # characters of a hash or id that select it
_HASHES = ("id", "text")  # facets that are selected by their beginning, too
# facets whose values are words of their own; those of others are selected as `window=128`
_NAMES = (
    *("kind", "task", "group", "source", "scoring", "likelihood", "hidden", "form", "protocol"),
    *("method", "state", "probe", "words", "states"),
)


@dataclass(frozen=True)
class Facets:
    """What a result may be selected by: each facet with its values, most often one."""

    values: Mapping[str, Sequence[str]]

    def matches(self, word: str) -> bool:
        """Tell whether a word or a setting holds."""
        if any(word in self.values.get(name, ()) for name in (*_NAMES, *_HASHES)):
            return True
        if any(_begins(value, word) for name in _HASHES for value in self.values.get(name, ())):
            return True
        key, equals, wanted = word.partition("=")
        found = self.values.get(key.strip(), ())
        return bool(equals) and any(_same(value, wanted.strip()) for value in found)


def facets_of(record: ResultRecord, *, id: str) -> Facets:
    """Return what a result may be selected by."""
    parts = record.source.split(",")
    source = [record.source, *parts, *(Path(part).name for part in parts)]
    values: dict[str, list[str]] = {
        "id": [id],
        "kind": [record.evaluation],
        "source": [*dict.fromkeys(source)],
        "text": [*dict.fromkeys((record.text_hash, record.text))],
        "step": [str(record.step)],
    }
    for name, value in {**record.named_by, **record.conditions}.items():
        if value is not None and value != "":
            values.setdefault(name, []).append(_shown(value))
    return Facets(values)


def settings_of(record: ResultRecord) -> dict[str, str]:
    """Return the settings under which it was measured, as they are selected by."""
    found = record.conditions.items()
    return {name: _shown(value) for name, value in found if value is not None}


@dataclass(frozen=True)
class Selection:
    """Which results are meant: those of which all words of one of these hold."""

    wanted: Sequence[Sequence[str]]

    @staticmethod
    def parse(given: Iterable[str]) -> "Selection":
        """Read what a user typed.

        Raises:
            UserError: a selection without a word.
        """
        wanted = []
        for each in given:
            words = [word.strip() for word in each.split(",")]
            if not all(words):
                raise UserError(
                    f"'{each}' lacks a word: give one, or several with a comma between them, such "
                    "as likelihood,validation"
                )
            wanted.append(words)
        return Selection(wanted)

    def matches(self, facets: Facets) -> bool:
        """Tell whether a result is meant."""
        return any(_all_hold(words, facets) for words in self.wanted)

    def require(self, known: Sequence[Facets]) -> None:
        """Make sure that each selection means a result, and no id several.

        Raises:
            UserError: one does not; it says what there is.
        """
        for words in self.wanted:
            for word in words:
                if word != ALL and not any(each.matches(word) for each in known):
                    raise UserError(_unknown(word, known))
                _require_one_id(word, known)
            if not any(_all_hold(words, each) for each in known):
                raise UserError(
                    f"no result is {' and '.join(words)} at once: repeat the option for results "
                    f"that are either; to choose from: {_inventory(known)}"
                )


def _all_hold(words: Sequence[str], facets: Facets) -> bool:
    return all(word == ALL or facets.matches(word) for word in words)


def _require_one_id(word: str, known: Sequence[Facets]) -> None:
    found = {each.values["id"][0] for each in known if _begins(each.values["id"][0], word)}
    if len(found) > 1:
        raise UserError(
            f"'{word}' is the beginning of {len(found)} ids: type more of "
            f"{', '.join(sorted(found))}"
        )


def _unknown(word: str, known: Sequence[Facets]) -> str:
    if not known:
        return f"no result is '{word}', as there is none at all: measure some with `lmcompare eval`"
    key, equals, _ = word.partition("=")
    keys = {name for each in known for name in each.values}
    if equals and key.strip() in keys:
        values = _values(key.strip(), known)
        return f"no result has {word}: {key.strip()} is {' or '.join(values)}"
    if equals:
        return f"no result has a setting '{key}': {did_you_mean(key.strip(), keys)}"
    names = {value for name in _NAMES for value in _values(name, known)}
    hint = did_you_mean(word.lower(), names)
    hint = "" if hint.startswith("known") else f"{hint} "
    return (
        f"no result is '{word}': {hint}to choose from: {_inventory(known)}; or {SHORTEST_HASH} "
        "characters or more of an id or of a text's hash, or a setting such as window=128"
    )


def _inventory(known: Sequence[Facets]) -> str:
    """Return what may be selected by a word, facet by facet."""
    found = {name: _values(name, known) for name in _NAMES}
    return "; ".join(f"{name} {', '.join(values)}" for name, values in found.items() if values)


def _values(name: str, known: Sequence[Facets]) -> list[str]:
    values = {value: None for each in known for value in each.values.get(name, ())}
    return sorted(
        values, key=lambda value: (len(value), value) if value.isdecimal() else (0, value)
    )


def _begins(value: str, word: str) -> bool:
    return len(word) >= SHORTEST_HASH and value.startswith(word.lower())


def _same(value: str, wanted: str) -> bool:
    """Tell whether two values are the same text or the same number."""
    try:
        return value == wanted or float(value) == float(wanted.replace("_", ""))
    except ValueError:
        return False


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
