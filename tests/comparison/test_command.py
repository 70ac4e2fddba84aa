"""`lmcompare compare`, as a user meets it."""

import os
import subprocess
import sys

import pytest

from lmcompare.comparison import compare
from lmcompare.errors import UserError
from lmcompare.runs.finding import find_runs
from tests.comparison.known_answers import ask, wrote
from tests.comparison.known_probes import flat, probe, probed
from tests.comparison.known_runs import CLOSE, FAR, arm
from tests.conftest import values
from tests.terminals import be_terminal

RUN = "import typer, lmcompare_cli.commands.compare as c; typer.run(c.compare)"
COMMAND = (sys.executable, "-c", RUN)


def test_the_command_prints_and_writes(invoke, study):
    arm(study, "clm", CLOSE)
    arm(study, "mlm", FAR)
    result = invoke(study, "--table", "all")
    assert result.exit_code == 0, result.output
    assert "Held equal: " in result.stdout
    assert "pseudo: each token given the others" in result.stdout
    assert "written to" in result.stderr
    assert "\x1b" not in result.stdout
    assert sorted(path.suffix for path in (study / "tables").iterdir()) == sorted(
        [".csv", ".json", ".md", ".tex"]
    )
    assert len(find_runs([study])) == 6


def test_the_table_fits_a_terminal_of_100_columns(invoke, study, monkeypatch):
    long = {"name": "mlm", "rate": 0.4, "select": "span", "final_rate": 0.2}
    arm(study, "an-arm-with-a-long-name", FAR, settings={"objective": long})
    arm(study, "clm", CLOSE)
    be_terminal(monkeypatch, 100)
    result = invoke(study, "--no-write", "--table", "all")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("an-arm-with-a-long-name:") and "2.010 ±" in line for line in lines)
    assert any(line.startswith("an-arm-with-a-long-name:") and line.endswith("3") for line in lines)


def test_the_second_table_fits_a_terminal_of_100_columns(invoke, study, monkeypatch):
    for number in range(12):
        for run in arm(study, f"an-arm-of-{number:02}", FAR, settings={"objective": "clm"}):
            bits = 11 + run.record().config.seed
            ask(run, bits, bits, bits, None, likelihood="bound", given="left")
    be_terminal(monkeypatch, 100)
    result = invoke(study, "--no-write", "--table", "all")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    shown = [" ".join(line.split()) for line in lines]
    cell = "≤12.000 ±2.485 l"
    assert [f"an-arm-of-{number:02} in-order {cell} {cell} {cell} —" for number in range(12)] == [
        line for line in shown if "≤" in line and line.startswith("an-arm")
    ]
    assert "unigram anchor 2.500 2.500 2.500 2.500" in shown


def test_the_third_table_fits_a_terminal_of_100_columns(invoke, study, monkeypatch):
    for run in arm(study, "an-arm-with-a-long-name", FAR, settings={"objective": "mdlm"}):
        wrote(run, 11.5 + run.record().config.seed, sampler={"temperature": 0.7, "steps": 128})
    be_terminal(monkeypatch, 100)
    result = invoke(study, "--table", "all")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    shown = [" ".join(line.split()) for line in lines]
    assert any("12.500 ±2.485 6.50 0.500 ±0.000 0.375 12.5% 6.2%" in line for line in shown)
    assert any(line.endswith("0.500 3M 101 1,009 10.3 13") for line in shown)
    assert "the text itself 2.125 6.50 0.875 0.375 12.5% 6.2%" in shown
    assert "the text itself 21.1" in shown
    assert f"drawn in {study / 'tables' / 'compare-generation.svg'}" in result.stderr


@pytest.mark.parametrize("width", [60, 80])
def test_the_tables_of_probes_fit_a_terminal_of_80_columns(invoke, study, monkeypatch, width):
    """Two tables a task and a column of flags; on a narrower one, in more pieces."""
    low = {"type": flat(6)}
    runs = probed(study, "clm", 0.9, 0.95, 0.9, baselines=low, unseen=(1, 2, 53, 4))
    runs += probed(study, "an-arm-named", 0.1, 0.1, 0.1, baselines=low)
    for run in runs:
        probe(run, [flat(7)] * 4, step=0, baselines=low)
    be_terminal(monkeypatch, width)
    result = invoke(study, "--no-write", "--reference", "clm", "--table", "all")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= width
    start = next(i for i, line in enumerate(lines) if line.startswith("Probes of token"))
    end = next(i for i, line in enumerate(lines) if i > start and line.startswith("- "))
    shown = " ".join(lines[start:end])
    block = compare(runs, reference="clm").tables["probes"][0].blocks[0]
    for row in (*block.scores, *(each[:-1] for each in block.controls[1])):
        assert all(cell in shown for cell in row), row
    assert all(flag in " ".join(shown.split()) for flag in ("untrained beats", "type baseline"))
    if width == 80:  # scores in one piece; what stands beside them in one, and flags
        assert sum(line.startswith("an-arm-named") for line in lines[start:end]) == 3


@pytest.mark.parametrize("layout", values("table", slow=["md"]))
def test_ascii_is_enough(study, layout):
    [run] = arm(study, "clm", [1.0], record={"text": "Gödel"})
    ask(run, 1, 2, 3, None, likelihood="bound")
    done = subprocess.run(
        [*COMMAND, str(study), "--no-write", "--format", layout, "--table", "summary,all"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()
    assert b"1.000 +--" in done.stdout
    assert b"<=2.000" in done.stdout.replace(b"\\<", b"<")


@pytest.mark.parametrize("layout", ["json", "csv", "md", "tex"])
def test_stdout_is_the_file(invoke, study, layout):
    arm(study, "clm", CLOSE)
    result = invoke(study, "--format", layout, "--name", "paper", "--out", study / "elsewhere")
    assert result.exit_code == 0, result.output
    assert result.stdout == (study / "elsewhere" / f"paper.{layout}").read_text()


def test_nothing_is_written_if_not_wanted(invoke, study):
    arm(study, "clm", CLOSE)
    assert invoke(study, "--no-write").exit_code == 0
    assert not (study / "tables").exists()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden"])
def test_a_name_is_no_path(invoke, study, name):
    arm(study, "clm", CLOSE)
    assert isinstance(invoke(study, "--name", name).exception, UserError)
    assert not (study / "tables").exists()


def test_no_run_at_all_is_an_error(invoke, tmp_path):
    assert isinstance(invoke(tmp_path / "nowhere").exception, UserError)
