"""Tables in LaTeX: a page of any names compiles, and nothing stands beside it."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lmcompare.blocks import Block, Column, Notes, Paragraph, Part, Table, names, numbers, words
from lmcompare.blocks.latex import MOST_ROWS, escape, render

ENGINES = [engine for engine in ("pdflatex", "lualatex", "xelatex") if shutil.which(engine)]
NAMES = [
    "50%_a&b#|c",
    r"\input{/etc/passwd} \undefined",
    "$x^2$ {a} ~ <b> [c] *d",
    "``quoted'' -- \"so\" --- ?` !`",
    "Größe, naïve, Œuvre, ñ, ß",
    "中文 русский عربي 🙂",
    "a\x1b[31mb\nc\u202e",
    "=cmd() @x",
    "[0.5em] first in a row",
    "*",
    "a-name_of/many.letters" * 12,
    "",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("50%", r"50\%"),
        ("a_b&c#d", r"a\_b\&c\#d"),
        ("{x}", r"\{x\}"),
        ("\\x", r"\textbackslash{}x"),
        ("--all", "-{}-all"),
        ("''", "'{}'"),
        ("—", "---"),
        ("1.0 ±0.1", r"1.0 $\pm$0.1"),
        ("é", "é"),
        ("中", r"\lmcomparechar{中}{4E2D}"),
        ("a\nb", r"a\textbackslash{}nb"),
        ("plain-name 1,024", "plain-name 1,024"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


def rows(num: int, width: int) -> list[list[str]]:
    return [[NAMES[i % len(NAMES)] or "x", *["1.234 ±0.012"] * width] for i in range(num)]


def page() -> list[Block]:
    """Return one of every kind of block and table."""
    return [
        Paragraph("Not held equal", " ".join(NAMES), warns=True),
        Paragraph("Held equal", "all"),
        Table(
            columns=[*names("arm"), *numbers("bits/\nbyte", "50% hidden")],
            parts=[
                Part(title="A & B", subtitle="100% of C_d", rows=rows(7, 2), anchors=1),
                Part(title="A & B", rows=rows(3, 2)),
            ],
            notes=["Read 100% of this & that."],
        ),
        Table(
            columns=[*names("arm"), *numbers(*(f"column {i}" for i in range(13)))],
            parts=[Part(title="Wide", rows=rows(5, 13))],
        ),
        Table(
            columns=[*names("a sentence"), *numbers("x", "y")],
            parts=[Part(title="Long", rows=rows(2 * MOST_ROWS + 70, 2))],
            notes=["Below."],
        ),
        Table(
            columns=[*names("arm"), *numbers(*(f"column {i}" for i in range(11)))],
            parts=[Part(title="Long and wide", rows=rows(83, 11))],
        ),
        Table(
            columns=[*names("fact"), Column("held equal", "number"), *words("found")],
            parts=[Part(title="Control sheet", rows=[["text", "yes", "some words " * 40]])],
        ),
        Notes([*NAMES, "the last"]),
    ]


@pytest.mark.parametrize("engine", ENGINES or [None])
def test_a_page_compiles(engine: str | None, tmp_path: Path) -> None:
    if engine is None:
        pytest.skip("needs a TeX engine: apt install texlive-latex-base")
    log = compiled(page(), engine, tmp_path)
    assert not re.findall(r"^! .*|Undefined control sequence|Float too large.*", log, re.MULTILINE)
    too_wide = [float(each) for each in re.findall(r"Overfull \\hbox \((\d+\.\d+)pt", log)]
    assert max(too_wide, default=0) < 20
    labels = re.findall(r"newlabel\{(tab:[^}]+)\}", (tmp_path / "paper.aux").read_text())
    assert sorted(labels) == [f"tab:my-study:{number}" for number in range(1, 7)]


def compiled(blocks: Sequence[Block], engine: str, folder: Path) -> str:
    """Compile a paper of the blocks, and return what the engine logged."""
    (folder / "compare.tex").write_text(render(blocks, label="my_study"), encoding="utf-8")
    (folder / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{array,booktabs,longtable}"
        r"\begin{document}\listoftables\input{compare}\end{document}",
        encoding="utf-8",
    )
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    return log


def test_a_float_for_each_table_and_a_longtable_for_what_no_page_holds() -> None:
    text = render(page(), label="x")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 4
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") >= 3
    assert text.count(r"\caption{") == text.count(r"\label{") == 6
    assert text.count(r"\toprule") >= 6


def test_a_wide_table_is_parted_and_its_rows_named_again() -> None:
    text = render([page()[3]], label="x")
    assert text.count(r"\begin{tabular}") > 1
    assert text.count(r"50\%\_a\&b\#\textbar{}c & ") == text.count(r"\begin{tabular}")
    heads = [f"column {i}" for i in range(13)]
    assert all(text.count(f"{head} ") == 1 for head in heads)


def test_anchors_stand_below_a_line() -> None:
    [part, *_] = render([page()[2]], label="x").split(r"\bottomrule")
    assert part.count(r"\midrule") == 2


def test_what_stands_in_no_column_takes_no_room() -> None:
    table = Table(
        columns=[*names("arm"), Column("", "number"), *numbers("x")],
        parts=[Part(rows=[["a", "", "1"]])],
    )
    assert "arm & x" in render([table], label="x")
