"""No text does anything on a page in Markdown."""

import re

import pytest

from lmcompare.blocks import Column, Notes, Paragraph, Part, Table, names, numbers
from lmcompare.blocks.markdown import escape, grid, render

EVIL = "<script>x</script> | a*b_c ~~d~~ `e` [f](g) $h$ &amp; \\ \x1b[31m\nnext"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<script>", r"\<script\>"),
        ("a_b*c", r"a\_b\*c"),
        ("[x](y)", r"\[x\](y)"),
        ("~~x~~", r"\~\~x\~\~"),
        ("&lt;", r"\&lt;"),
        ("$x$", r"\$x\$"),
        ("a\nb", r"a\\nb"),
        ("\x1b[1m", r"\\x1b\[1m"),
        ("# x", r"\# x"),
        ("- x", r"\- x"),
        ("+ x", r"\+ x"),
        ("12. x", r"12\. x"),
        ("12) x", r"12\) x"),
        ("---", r"\---"),
        ("===", r"\==="),
        ("-1.5", "-1.5"),
        ("2.010 ±0.025", "2.010 ±0.025"),
        ("#1", "#1"),
        ("Größe 中", "Größe 中"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_page() -> None:
    table = Table(
        columns=[*names("arm"), *numbers("bits/\nbyte")],
        parts=[
            Part(title="one", subtitle="1. of", rows=[["a|b", "1"]]),
            Part(title="one", rows=[["c", "2"]]),
        ],
        notes=["- read"],
    )
    page = render([Paragraph("Held <equal>", "all"), table, Notes(["x"])])
    assert page.split("\n\n") == [
        r"**Held \<equal\>:** all",
        "### one",
        r"1\. of",
        "| arm   |   bits/byte |\n|:------|------------:|\n| a\\|b  |           1 |",
        "| arm   |   bits/byte |\n|:------|------------:|\n| c     |           2 |",
        r"- \- read",
        "- x\n",
    ]


def test_every_row_has_the_columns_of_the_table() -> None:
    lines = grid([*names(EVIL), Column(EVIL, "words")], [[EVIL, EVIL], ["", "-"]]).splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}
