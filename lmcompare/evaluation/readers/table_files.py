"""The layouts in which benchmarks come, read line by line; each fault is one clear line."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcompare.errors import UserError
from lmcompare.parsing import brief, listed, parse_json
from lmcompare.paths import JSON_LINES, matching, suffix_of
from lmcompare.textfiles import LONGEST_LINE, read_lines

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def find(folder: Path, patterns: Sequence[str], *, task: str) -> list[Path]:
    """Return the files that patterns name, in order.

    Raises:
        UserError: one names none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = [path for path in matching(pattern, folder=folder) if path.is_file()]
        if not files:
            raise UserError(
                f"the task {task} wants {pattern}, and there is no such file in {folder}: name the "
                "folder that holds it with `task_data=`"
            )
        found |= dict.fromkeys(files)
    return list(found)


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each line that is not blank, with where it stands.

    Raises:
        UserError: the file cannot be read, or is not in UTF-8.
    """
    for number, line in read_lines(path):
        if line.strip():
            yield f"{path}, line {number}", line


def json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each object of a JSONL file, with where it stands.

    Raises:
        UserError: a line is none.
    """
    for where, line in lines(path):
        found = parse_json(line, where=where)
        if not isinstance(found, dict):
            raise UserError(f"{where} is no JSON object: each line is one, such as {{...}}")
        yield where, found


def table(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each record of a .jsonl, .csv or .tsv file and its place; the last two have headings.

    Raises:
        UserError: it is none of these, or a record has more or fewer cells than headings.
    """
    suffix = suffix_of(path)
    if suffix in JSON_LINES:
        yield from json_lines(path)
    elif suffix in DELIMITERS:
        yield from _with_headings(path, DELIMITERS[suffix])
    else:
        raise UserError(f"{path} is no table that can be read: convert it to .jsonl, .csv or .tsv")


def _with_headings(path: Path, delimiter: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    csv.field_size_limit(LONGEST_LINE)  # of the whole process, which has no other use for it
    rows = csv.reader(
        (f"{line}\n" for _, line in read_lines(path)),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE,
    )
    head: list[str] = []
    try:
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if not row or (len(row) == 1 and row[0].isspace()):
                continue
            if not head:
                head = [cell.strip() for cell in row]
                _require_unlike(head, where)
                continue
            if len(row) != len(head):
                raise UserError(
                    f"{where} has {len(row)} cells under {len(head)} headings "
                    f"({listed(head)}): mend it"
                )
            yield where, dict(zip(head, row, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num} is no row of a table: {error}") from None


def _require_unlike(head: Sequence[str], where: str) -> None:
    twice = [name for name, times in Counter(head).items() if name and times > 1]
    if twice:
        raise UserError(f"{where} has the heading {brief(twice[0])} more than once: rename one")


def text_of(record: Mapping[str, Any], name: str, where: str) -> str:
    """Return a field that is text.

    Raises:
        UserError: it is missing, none, or blank.
    """
    if name not in record:
        raise UserError(f"{where} has no '{name}', only {listed(record) or 'nothing'}")
    value = record[name]
    if not isinstance(value, str):
        raise UserError(f"{where}: '{name}' is no text but {brief(value)}")
    if not value.strip():
        raise UserError(f"{where}: '{name}' is blank")
    return value


def label_of(record: Mapping[str, Any], name: str, where: str, counts: Counter[str]) -> str:
    """Return a field that is a label, without white space around it, of which `counts` is told.

    A class may be a number in .jsonl, which is text in the other tables.

    Raises:
        UserError: as `text_of`.
    """
    value = record.get(name)
    return str(value) if type(value) is int else stripped(text_of(record, name, where), counts)


def stripped(label: str, counts: Counter[str]) -> str:
    """Return a label without white space around it; `counts` is told where there was some."""
    counts["labels with white space around them"] += label != label.strip()
    return label.strip()
