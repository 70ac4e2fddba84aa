"""`lmcompare show` of several objectives on a terminal, and the files it writes."""

import json
import re

import pytest
from rich.cells import cell_len

from lmcompare.data import Tokenizer
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.teaching.views import views_of
from lmcompare_cli.console import output
from tests.cli.show.drawings import TEXT
from tests.conftest import values

ROW = re.compile(r" {0,2}\d+ .*?((?:[■□·] ?)+?)(?: +(\S.*))?$")
GOLDEN = """\
the cat sat
seed 4

■ looks there, and predicts something
□ looks there, and predicts nothing
· may not look there

 clm
sees what stands before
predicts the next token, everywhere
          0 1 2 3
  0 [BOS] ■ · · ·  → the
  1 the   ■ ■ · ·  → ▁cat
  2 ▁cat  ■ ■ ■ ·  → ▁sat
  3 ▁sat  □ □ □ □

 mdlm
sees both sides
predicts hidden tokens at every rate of hiding
           0 1 2 3
  0 [BOS]  □ □ □ □
  1 the    □ □ □ □
  2 ▁cat   □ □ □ □
  3 [MASK] ■ ■ ■ ■  ▁sat
The text goes in as it is in 13 of 48 draws.
"""


def test_a_small_picture(shown):
    lines = shown("-o", "clm", "-o", "mdlm", "--seed", "4", "--text", "the cat sat")
    assert "\n".join(lines) + "\n" == GOLDEN


def matrices(lines, sizes):
    """The signs of each matrix, whose pieces are put together again."""
    rows = [
        re.sub(r"[^■□·].*", "", re.sub(r"^ {0,2}\d+ \S* +(?=[■□·])", "", line).replace(" ", ""))
        for line in lines
        if re.match(r" {0,2}\d+ \S* *[■□·]", line)
    ]
    for num_rows, num_columns in sizes:
        found = [""] * num_rows
        while len(found[0]) < num_columns:
            piece, rows = rows[:num_rows], rows[num_rows:]
            found = [before + after for before, after in zip(found, piece, strict=True)]
        yield found
    assert not rows


@pytest.mark.parametrize("width", values(40, slow=[80]))
def test_every_matrix_is_whole_and_fits(shown, file, monkeypatch, width):
    text = f"{TEXT} {TEXT}"
    objectives = [parse_objective(name) for name in OBJECTIVES]
    views = views_of(text, objectives, Tokenizer.load(file))
    monkeypatch.setattr(output, "_width", width)
    lines = shown("--all", "--text", text)
    assert max(map(cell_len, lines)) <= width
    wanted = [
        each
        for view in views.views
        for each in view.matrices
        if each.rows is each.columns or not each.sees_all
    ]
    drawn = matrices(lines, [(len(each.rows), len(each.columns)) for each in wanted])
    for matrix, signs in zip(wanted, drawn, strict=True):
        assert signs == [
            "".join(("■" if slot.target else "□") if seen else "·" for seen in sees)
            for slot, sees in zip(matrix.rows, matrix.sees, strict=True)
        ]
    assert len([line for line in lines if line.startswith("sees ")]) == len(views.views)


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("text", ["<b>&\x1b[31m\u202ex", "猫が座った " * 9, "e\u0301👨‍👩‍👧 שלום"])
def test_any_text_fits_and_acts_on_nothing(shown, monkeypatch, width, text):
    monkeypatch.setattr(output, "_width", width)
    lines = shown("-o", "clm", "-o", "t5", "-o", "plm", "--text", text)
    assert max(map(cell_len, lines)) <= width
    assert not any(c in "".join(lines) for c in "\x1b\u202e\u200d")


def test_plain_ascii(shown):
    lines = shown("--all", "--text", f"{TEXT} café_x", charset="ascii")
    text = "\n".join(lines)
    assert text.isascii()
    assert "caf\\xe9_x" in text
    assert "# # # +" not in text
    assert "-> " in text


def test_json_holds_the_views(shown, file):
    content = json.loads("\n".join(shown("--all", "--text", TEXT, "--format", "json")))
    views = views_of(TEXT, [parse_objective(name) for name in OBJECTIVES], Tokenizer.load(file))
    assert [each["part"] for each in content["views"]] == [each.part for each in views.views]
    for written, view in zip(content["views"], views.views, strict=True):
        assert [each["sees"] for each in written["matrices"]] == [m.sees for m in view.matrices]


def test_files_stand_in_for_what_is_printed(run_show, tmp_path):
    svg, html = tmp_path / "a.svg", tmp_path / "a.html"
    said = run_show("-o", "mlm", "-s", "rate=0.5", "--svg", str(svg), "--html", str(html))
    assert said.exit_code == 0
    assert said.stdout == ""
    assert "wrote" in said.stderr
    assert svg.read_text().startswith("<svg")
    assert html.read_text().startswith("<!DOCTYPE html>")
    first = svg.read_bytes(), html.read_bytes()
    run_show("-o", "mlm", "-s", "rate=0.5", "--svg", str(svg), "--html", str(html))
    assert (svg.read_bytes(), html.read_bytes()) == first
    assert json.loads(run_show("--all", "--svg", str(svg), "--format", "json").stdout)["views"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--all", "-o", "clm"], "--all shows every objective"),
        (["--all", "-s", "rate=0.3"], "rate=0.3 is a setting of one objective"),
        (["--all", "--draws", "3"], "--draws is of no use with several objectives"),
        (["--all", "--step", "3"], "--step is of no use"),
        (["--all", "--text", " "], "there is no text"),
        (["-o", "clm", "-o", "mml"], "did you mean 'mlm'?"),
        (["--all", "--format", "csv"], "--format csv is of --predict"),
        (["--format", "md"], "--format md is of --predict"),
        (["--device", "cpu"], "--device is of no use with one objective"),
        (["some-run"], "runs are named for --predict"),
        (["--predict"], "no run is given to predict"),
        (["--all", "--svg", "/dev/null/a.svg"], "/dev/null"),
    ],
)
def test_refusals(refused, arguments, message):
    assert message in refused(*arguments)


def test_what_models_are_asked_has_no_picture_alone(refused):
    for given in (["--all"], ["--svg", "a.svg"], ["--draws", "2"], ["-s", "rate=0.3"]):
        said = refused("--predict", "some-run", *given, tokenizer=None)
        assert said.endswith("is of no use with --predict: leave it out")
