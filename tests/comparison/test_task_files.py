"""Benchmarks in the frame, in the files and on a terminal."""

import json
import os
import re
import subprocess
import sys

import pytest

from lmcompare.comparison import FORMATS, Comparison, compare
from lmcompare.comparison.tables.tasks import MARKS
from lmcompare.errors import UserError
from tests.comparison.known_runs import arm
from tests.comparison.known_scores import EVEN, NUM, models, right
from tests.terminals import be_terminal


@pytest.fixture
def full(study) -> Comparison:
    parts = [{"phenomenon": "a_b" if i % 2 else "c|d"} for i in range(NUM)]
    runs = models(study, "a_1", right(20), untrained=right(30), parts=parts)
    runs += models(
        study, "b", right(38), untrained=EVEN, parts=parts, scoring="pll", likelihood="pseudo"
    )
    return compare(runs)


def test_the_frame_holds_values_and_their_errors(full):
    frame = full.frame
    own = frame[(frame["protocol"] == "asked") & (frame["label"] == "a_1")].set_index("metric")
    assert own["value"].to_dict() == pytest.approx(
        {"zorro accuracy": 20 / NUM, "untrained zorro accuracy": 30 / NUM, "zorro chance": 0.5}
    )
    row = own.loc["zorro accuracy"]
    assert (row["unit"], row["standard_error"], row["n"], row["step"]) == (
        "share",
        0.0625,
        NUM,
        100,
    )
    assert own.loc["untrained zorro accuracy", "step"] == 0
    assert not any("sampled" in note for note in full.notes), "no sampling, but examples"
    assert not frame.duplicated(["run", "metric"]).any()


def test_markdown_holds_the_benchmarks(full):
    text = FORMATS["md"](full)
    assert "### Benchmarks of grammar" in text
    [row] = [line for line in text.splitlines() if line.startswith("| b ") and "wins" in line]
    assert "\\~pll" in row or "~pll" in row
    assert [line for line in text.splitlines() if line.startswith("| c\\|d")]
    assert text.count(MARKS[1].replace("<", "\\<")) == 1


def test_tex_holds_the_benchmarks(full):
    text = FORMATS["tex"](full)
    assert text.isascii()
    assert r"\caption{Benchmarks of grammar. zorro" in text
    assert "chance & 50.0 & " in text
    assert r"a\_b & " in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_json_holds_the_benchmarks(full):
    [table] = json.loads(FORMATS["json"](full))["tables"]["benchmark"]
    one, two = table["blocks"][0]["rows"]
    assert (one["verdict"], two["verdict"]) == (None, "wins")
    assert two["difference"]["value"] == pytest.approx(18 / NUM)
    assert one["gates"].keys() == {"untrained off chance", "no gain"}


def test_nothing_is_said_where_no_benchmark_was_asked(study):
    comparison = compare(arm(study, "clm", [1.0]))
    for layout in ("md", "tex"):
        assert "Benchmark" not in FORMATS[layout](comparison)
        assert "untrained" not in FORMATS[layout](comparison)


# the command line


def test_the_benchmarks_fit_a_terminal_of_100_columns(invoke, study, monkeypatch):
    parts = [{"phenomenon": "agreement_determiner_noun" if i % 2 else "b"} for i in range(NUM)]
    for number in range(13):
        models(
            study,
            f"an-arm-of-{number:02}",
            *(right(20 - number + 2 * each) for each in range(3)),
            untrained=right(41),
            parts=parts,
            scoring="left-to-right",
            likelihood="bound",
        )
    be_terminal(monkeypatch, 100)
    result = invoke(study, "--no-write", "--reference", "an-arm-of-12", "--table", "all")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    shown = [" ".join(line.split()) for line in lines]
    found = [line for line in shown if line.startswith("an-arm-of-00 ")]
    assert re.fullmatch(
        r"an-arm-of-00 53\.7 \[.*\] \+29\.3 \[.*\] wins 0\.0\d\d 100\.0 "
        r"untrained off chance, no gain",
        found[0],
    )
    assert found[1] == "an-arm-of-00 ≤left-to-right 3"
    heads = [line for line in shown if line.startswith("phenomenon")]
    assert len(heads) > 1
    assert [f"an-arm-of-{number:02}" in " ".join(heads) for number in range(13)] == [True] * 13
    assert sum(line.startswith("agreement_determiner_noun") for line in shown) == len(heads)


@pytest.mark.slow
def test_ascii_is_enough_for_benchmarks(study):
    models(study, "a", right(20), untrained=right(41), likelihood="bound", scoring="bound")
    command = "import typer, lmcompare_cli.commands.compare as c; typer.run(c.compare)"
    done = subprocess.run(
        [sys.executable, "-c", command, str(study), "--no-write", "--table", "all"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()
    assert b"<=bound" in done.stdout
    assert b"?" not in done.stdout


def test_an_unknown_reference_is_an_error_of_the_command(invoke, study):
    models(study, "a", right(20))
    error = invoke(study, "--no-write", "--reference", "z").exception
    assert isinstance(error, UserError)
    assert "\n" not in str(error)
