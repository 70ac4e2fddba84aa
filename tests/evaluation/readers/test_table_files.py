"""Tables as they come from other programs."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.readers.table_files import find, label_of, lines, table


def rows(path: Path, content: bytes) -> list[tuple[int, dict[str, object]]]:
    """The records of a file, each with the line where it stands."""
    path.write_bytes(content)
    return [(int(where.rpartition(" ")[2]), dict(record)) for where, record in table(path)]


@pytest.mark.parametrize("name", ["a.csv", "a.CSV"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_table_with_headings(name: str, end: bytes, mark: bytes, tmp_path: Path) -> None:
    lines = [b"", b"text, label,,", b'"a ""cat""",x,,', b"  ", b"", b'"two\nlines",y ,1,2', b""]
    content = mark + end.join(line.replace(b"\n", end) for line in lines)
    assert rows(tmp_path / name, content) == [
        (3, {"text": 'a "cat"', "label": "x", "": ""}),
        (7, {"text": "two\nlines", "label": "y ", "": "2"}),
    ]


def test_tabs_part_and_quotes_are_text(tmp_path: Path) -> None:
    content = 'text\tlabel\n"a\tx\n\nb\u2028c\u00a0\ty\n'.encode()
    records = [{"text": '"a', "label": "x"}, {"text": "b\u2028c\u00a0", "label": "y"}]
    assert rows(tmp_path / "a.TSV", content) == [(2, records[0]), (4, records[1])]


@pytest.mark.parametrize("name", ["a.jsonl", "a.NDJSON", "a.Jsonl.gz"])
def test_json_lines(name: str, tmp_path: Path) -> None:
    records = [{"text": "a\u2028b"}, {"text": "\x85"}]
    text = "\n\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    content = text.encode()
    if name.endswith(".gz"):
        content = gzip.compress(content)
    assert rows(tmp_path / name, content) == [(1, records[0]), (3, records[1])]


def test_a_cell_of_any_length(tmp_path: Path) -> None:
    cell = "x" * (3 * csv.field_size_limit() + 1 if csv.field_size_limit() < 10**6 else 400_009)
    assert rows(tmp_path / "a.csv", f"text,n\n{cell},1\n".encode()) == [
        (2, {"text": cell, "n": "1"})
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text,n,text\n", "a.csv, line 1 has the heading 'text' more than once: rename one"),
        ("text, text\n", "has the heading 'text' more than once"),
        ("text,n\na\n", "a.csv, line 2 has 1 cells under 2 headings (text, n): mend it"),
        ("text,n\n\na,b,c\n", "a.csv, line 3 has 3 cells under 2 headings"),
        ("text,n\na\rb,1\n", "a.csv, line 2 is no row of a table: new-line character seen"),
        (",".join(f"n{n}" for n in range(997)) + "\n1\n", "(n0, n1, n2, n3, n4, n5, n6, n7, n8,"),
    ],
)
def test_broken_tables_are_one_line(content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        rows(tmp_path / "a.csv", content.encode())
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_files_of_a_pattern(tmp_path: Path) -> None:
    for name in ("suite/a.txt", "suite/b.txt", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one\n\u2028\ntwo\u2028three\n", encoding="utf-8")
    found = [tmp_path / "suite" / name for name in ("a.txt", "b.txt")]
    assert find(tmp_path, ["suite/*.txt"], task="t") == found
    assert find(tmp_path / "elsewhere", [f"{tmp_path}/suite/*.txt"], task="t") == found
    assert find(tmp_path / "suite", ["../c.txt", "../c.*"], task="t") == [
        tmp_path / "suite" / "../c.txt"
    ]
    assert [line for _, line in lines(found[0])] == ["one", "two\u2028three"]


def test_labels_are_stripped_and_counted() -> None:
    counts: Counter[str] = Counter()
    found = [
        label_of({"label": label}, "label", "here", counts)
        for label in ("pos", "pos ", "\u00a0pos", 1, "1\t")
    ]
    assert found == ["pos", "pos", "pos", "1", "1"]
    assert counts == {"labels with white space around them": 3}
