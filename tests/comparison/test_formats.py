"""A comparison of arms whose names mean something in a format: in none do they do anything."""

import io
import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from lmcompare.comparison import FORMATS, Comparison, compare, document, write_tables
from tests.blocks.test_latex import compiled
from tests.comparison.known_answers import ask, wrote
from tests.comparison.known_probes import flat, probe
from tests.comparison.known_runs import CLOSE, arm

EVIL = '=1+1|<script>alert(1) & 100%_$x$ \\input{a} \x1b[31m\r\nb, "c" [d](e) `f` 中'


@pytest.fixture
def evil(study: Path) -> Comparison:
    runs = [
        run
        for name in (EVIL, "@b", "-c", "clm")
        for run in arm(study, name, CLOSE, settings={"objective": "clm"}, record={"text": EVIL})
    ]
    for run in runs:
        ask(run, 1, 2, 3, 4, source=EVIL)
        wrote(run, 1.5, source=EVIL)
        probe(run, [flat(3), flat(4)], task=EVIL, source=EVIL, asks=EVIL, states_of=EVIL)
    return compare(runs)


@pytest.mark.parametrize("layout", [*FORMATS])
def test_no_control_character_of_a_name_is_in_a_file(evil: Comparison, layout: str) -> None:
    text = FORMATS[layout](evil)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "x1b" in text or "u001b" in text


def test_no_name_is_a_formula_of_a_spreadsheet(evil: Comparison) -> None:
    read = pd.read_csv(io.StringIO(FORMATS["csv"](evil)))
    texts = {each for column in read for each in read[column] if isinstance(each, str)}
    assert not [each for each in texts if each.startswith(("=", "+", "-", "@"))]
    assert {"'@b", "'-c"} <= texts
    assert len(read) == len(evil.frame)


def test_names_are_names_in_json(evil: Comparison) -> None:
    assert EVIL in {row["arm"] for row in json.loads(FORMATS["json"](evil))["measurements"]}


def test_names_are_text_in_markdown(evil: Comparison) -> None:
    text = FORMATS["md"](evil)
    assert not re.search(r"(?<!\\)[<`$]", text)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a TeX engine")
def test_names_are_text_in_latex(evil: Comparison, tmp_path: Path) -> None:
    log = compiled(document(evil), "pdflatex", tmp_path)
    assert "Float too large" not in log


def test_names_are_text_in_pictures(evil: Comparison, tmp_path: Path) -> None:
    for path in write_tables(evil, tmp_path, name="compare"):
        if path.suffix == ".svg":
            ElementTree.fromstring(path.read_text())
