"""The layouts in which benchmarks come, read line by line; each fault is one clear line."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcompare.errors import UserError


def find(folder: Path, patterns: Sequence[str], *, task: str) -> list[Path]:
    """The files that patterns name, in order.

    Raises:
        UserError: one names none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        matching = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not matching:
            raise UserError(
                f"the task {task} wants {pattern}, and there is no such file in {folder}: name the "
                "folder that holds it with --benchmarks"
            )
        found |= dict.fromkeys(matching)
    return list(found)


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, with where it stands.

    Raises:
        UserError: the file cannot be read, or is not in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}, line {number}", line.rstrip("\n")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8: convert it first") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each object of a JSONL file, with where it stands.

    Raises:
        UserError: a line is none.
    """
    for where, line in lines(path):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where} is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise UserError(f"{where} is no JSON object: each line is one, such as {{...}}")
        yield where, found


def table(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each record of a .jsonl, .csv or .tsv file, with where it stands; the last two have headings.

    Raises:
        UserError: it is none of these, or a record has more or fewer cells than headings.
    """
    if path.suffix == ".jsonl":
        yield from json_lines(path)
        return
    if path.suffix not in (".csv", ".tsv"):
        raise UserError(f"{path} is no table that can be read: convert it to .jsonl, .csv or .tsv")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(
                file,
                delimiter="," if path.suffix == ".csv" else "\t",
                quoting=csv.QUOTE_MINIMAL if path.suffix == ".csv" else csv.QUOTE_NONE,
            )
            head = next(rows, [])
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                if len(row) != len(head):
                    raise UserError(
                        f"{where} has {len(row)} cells under {len(head)} headings "
                        f"({', '.join(head)}): mend it"
                    )
                yield where, dict(zip(head, row, strict=True))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8: convert it first") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except csv.Error as error:
        raise UserError(f"{path} is no table: {error}") from None


def text_of(record: Mapping[str, Any], name: str, where: str) -> str:
    """A field that is text.

    Raises:
        UserError: it is missing, none, or blank.
    """
    if name not in record:
        raise UserError(f"{where} has no '{name}', only {', '.join(record) or 'nothing'}")
    value = record[name]
    if not isinstance(value, str):
        raise UserError(f"{where}: '{name}' is no text but {value!r}")
    if not value.strip():
        raise UserError(f"{where}: '{name}' is blank")
    return value
