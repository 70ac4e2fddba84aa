"""The files of a comparison."""

import csv
import io
import json
import re

import pandas as pd
import pytest

from lmcompare.comparison import FORMATS, PAGES, Comparison, compare, write_tables
from lmcompare.errors import UserError
from tests.comparison.known_runs import CLOSE, arm, write_run


@pytest.fixture
def odd(study) -> Comparison:
    """Names that every format must escape."""
    runs = arm(
        study, "50%_a&b#|c", CLOSE, settings={"objective": {"name": "mlm", "final_rate": 0.4}}
    )
    return compare([*runs, write_run(study, "clm", 0)])


def test_the_files_are_written_whole(odd, study, monkeypatch):
    paths = write_tables(odd, study / "tables", name="compare")
    assert [path.name for path in paths] == [
        "compare.csv",
        "compare.md",
        "compare.tex",
        "compare.json",
    ]
    assert sorted((study / "tables").iterdir()) == sorted(paths)
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(UserError, match="disk is full"):
        write_tables(odd, study / "tables", name="compare")
    assert [path.read_bytes() for path in paths] == before


def test_csv_gives_the_frame_back(odd):
    read = pd.read_csv(io.StringIO(FORMATS["csv"](odd)))
    assert read["value"].tolist() == pytest.approx(odd.frame["value"].tolist(), rel=1e-15)
    assert read["metric"].tolist() == odd.frame["metric"].tolist()
    assert len(list(csv.reader(io.StringIO(FORMATS["csv"](odd))))) == len(odd.frame) + 1


def test_json_has_nulls_and_both_tables(odd):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads(FORMATS["json"](odd), parse_constant=refuse)
    assert len(read["measurements"]) == len(odd.frame)
    assert {each["scoring"] for each in read["measurements"]} == {None, "pll"}
    assert [section["scored"] is None for section in read["tables"]["likelihood"]] == [False, True]
    [row] = read["tables"]["likelihood"][0]["rows"]
    assert row["estimates"]["bits_per_byte"]["mean"] == pytest.approx(1.01)
    assert {each["name"] for each in read["facts"]} >= {"training text", "budget"}


def test_markdown_keeps_its_columns(odd):
    text = PAGES["md"](odd, ["likelihood"])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {15}
    assert "**Held equal:** " in text


def test_tex_escapes_and_keeps_its_columns(odd):
    text = FORMATS["tex"](odd)
    body = text[text.index(r"\toprule") : text.index(r"\end{table}")]
    for tabular in body.split(r"\toprule")[1:]:
        lines = [line for line in tabular.splitlines() if line.endswith(r"\\")]
        assert len({len(re.split(r"(?<!\\)&", line)) for line in lines}) == 1
    assert r"50\%\_a\&b\#" in text
    assert text.isascii()
    tables = text[text.index(r"\begin{table}") :]
    assert not re.search(r"(?<!\\)[_#]", tables)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
