"""JSON and TOML that users wrote: whatever may be wrong with it is one sentence.

Python's own readers stop at a depth that depends on the caller, take a number of any length where
it is hexadecimal, and let half a surrogate pair pass, which is not a character and can be written
nowhere.
"""

import json
import reprlib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lmcompare.errors import UserError
from lmcompare.textfiles import MB, read_whole

MOST_TOML = 4 * MB  # bytes of a file
DEEPEST = 32  # tables within tables in TOML
INTEGERS = range(-(2**63), 2**63)  # as TOML has them
MOST_SHOWN = 60  # characters of what an error quotes
MOST_NAMES = 12

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = MOST_SHOWN


class Malformed(UserError):
    """A text that is not TOML."""


def parse_json(text: str, *, where: str, halves: bool = False) -> Any:
    """Return the value that a text spells in JSON.

    Args:
        text: one value.
        where: it stands, for errors.
        halves: let halves of surrogate pairs pass, for a caller that looks for them itself.

    Raises:
        UserError: it is not JSON, or beyond what can be read.
    """
    try:
        found = json.loads(text)
        if not halves and "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON ({error}): mend it") from None
    except UnicodeEncodeError:
        raise UserError(
            f"{where} holds half a surrogate pair, which is not a character: correct it"
        ) from None
    except RecursionError:
        raise UserError(f"{where} is not JSON that can be read: it is nested too deeply") from None
    except ValueError:
        raise UserError(
            f"{where} is not JSON that can be read: a number has too many digits"
        ) from None
    return found


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """Return the tables of a file.

    Args:
        path: of the file.
        what: it is, for errors.

    Raises:
        UserError: it cannot be read, or is not TOML.
    """
    return parse_toml(read_whole(path, limit=MOST_TOML), where=f"{what} {path}")


def parse_toml(text: str, *, where: str) -> dict[str, Any]:
    """Return the tables that a text spells in TOML.

    Raises:
        Malformed: it is not TOML.
        UserError: it is beyond what can be read.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"{where} is not valid TOML: {error}") from None
    except RecursionError:
        raise _too_deep(where) from None
    except ValueError:
        raise _too_large(where) from None
    waiting: list[tuple[Any, int]] = [(found, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise _too_deep(where)
        if isinstance(value, int) and value not in INTEGERS:
            raise _too_large(where)
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(each, depth + 1) for each in inner]
    return found


def brief(value: object) -> str:
    """Return a value short enough for a sentence: the beginning of what is long, or deep."""
    return _BRIEF.repr(value)


def listed(names: Iterable[str]) -> str:
    """Return names short enough for a sentence: the first of many, the beginning of each."""
    shown = [name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}..." for name in names]
    more = [f"and {len(shown) - MOST_NAMES} more"] if len(shown) > MOST_NAMES else []
    return ", ".join([*shown[:MOST_NAMES], *more])


def _too_deep(where: str) -> UserError:
    return UserError(f"{where} is nested more than {DEEPEST} deep: write it flatter")


def _too_large(where: str) -> UserError:
    return UserError(f"{where} holds an integer of more than 64 bits: write a smaller one")
