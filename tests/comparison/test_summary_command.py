"""`lmcompare compare` as the summary, as a user meets it: what is printed, and how wide."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from lmcompare.comparison import compare, table_names
from lmcompare.comparison.summary import ASPECTS
from lmcompare.errors import UserError
from lmcompare.runs.finding import find_runs
from lmcompare.runs.run import Run
from lmcompare_cli.group import command_of
from tests.comparison.known_answers import ask, wrote
from tests.comparison.known_curves import learner
from tests.comparison.known_runs import arm, causal, evaluate, write_run
from tests.comparison.known_scores import models, right
from tests.comparison.test_formats import EVIL
from tests.comparison.test_summary import timed
from tests.terminals import be_terminal


def mixed(study: Path) -> None:
    """Arms of which each lacks something that another has."""
    learner(study, "clm", {1: 6.0, 100: 4.0}, {1: 6.0, 100: 4.1})
    learner(study, "mlm", {1: 7.0, 100: 5.0})
    for run in models(study, "asked", right(30)):
        wrote(run, 1.5)
        ask(run, 1.0, 2.0, 3.0, None)
        timed(run, 100.0)


def test_the_summary_is_what_is_printed(invoke: Any, study: Path) -> None:
    mixed(study)
    result = invoke(study)
    assert result.exit_code == 0, result.output
    for name in ("Held equal", "Attention: ", "Learns: ", "Data efficiency: ", "Best suited for: "):
        assert name in result.stdout
    assert "pseudo: " not in result.stdout
    assert "Control sheet" not in result.stdout
    written = (study / "tables" / "compare.md").read_text()
    assert written.index("### Attention") < written.index("### not evaluated")
    assert "### Control sheet" in written


@pytest.mark.parametrize("layout", ["table", "md", "tex"])
def test_tables_are_chosen_by_name(invoke: Any, study: Path, layout: str) -> None:
    mixed(study)
    way = ("--no-write", "--format", layout)
    one = invoke(study, *way, "--table", "generation").stdout
    assert "the same prompts" in one
    assert "Control sheet" not in one
    assert "Attention" not in one
    two = invoke(study, *way, "--table", "generation,summary", "--table", "control").stdout
    assert all(each in two for each in ("Attention", "the same prompts", "Control sheet"))
    assert "nothing was measured" in invoke(study, *way, "--table", "probes").stdout


def test_a_table_that_there_is_not_is_an_error(invoke: Any, study: Path) -> None:
    arm(study, "clm", [1.0])
    error = invoke(study, "--table", "summaries").exception
    assert isinstance(error, UserError)
    assert str(error) == "there is no table 'summaries': did you mean 'summary'?"
    assert not (study / "tables").exists()
    error = invoke(study, "--table", "summary", "--format", "csv").exception
    assert isinstance(error, UserError)
    assert "csv holds everything" in str(error)


def test_the_help_names_every_table(invoke: Any) -> None:
    shown = " ".join(invoke("--help").stdout.replace("│", " ").split())
    assert not [name for name in table_names() if name not in shown]


def test_what_is_behind_a_row_is_listed(invoke: Any, study: Path) -> None:
    mixed(study)
    result = invoke(study, "--explain", "inference")
    assert result.exit_code == 0, result.output
    (file,) = study.glob("*/eval/speed-*.json")
    assert str(file) in result.stdout
    assert "Held equal" not in result.stdout
    assert not (study / "tables").exists(), "nothing was compared"
    assert isinstance(invoke(study, "--explain", "speed").exception, UserError)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_summary_fits_a_terminal(
    invoke: Any, study: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Nothing is cut: each figure of each of twelve arms is there."""
    mixed(study)
    for number in range(9):
        causal(study, **{f"an-arm-of-{number:02}": [1.0 + number]})
    be_terminal(monkeypatch, width)
    result = invoke(study, "--no-write")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "…" not in result.stdout
    shown = " ".join(result.stdout.split())
    summary = compare(find_runs([study])).summary
    for _, _, rows in summary.aspects:
        for row in rows:
            assert all(cell.shown in shown for cell in row.cells.values()), row
    assert all(shown.count(label) for label in summary.labels)


@pytest.mark.parametrize("layout", ["table", "md", "tex", "json", "csv"])
def test_a_hostile_name_is_a_name(invoke: Any, study: Path, layout: str) -> None:
    for run in arm(study, EVIL, [1.0], settings={"objective": "clm"}):
        timed(run, 100.0, source=EVIL)
    write_run(study, "clm", 0)
    for more in ((), ("--explain", "inference")):
        result = invoke(study, "--no-write", "--format", layout, *more)
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.stdout
        assert "\r" not in result.stdout


def named_in(runs: Sequence[Run]) -> set[str]:
    """Return the commands that the summary of some runs names."""
    rows = [row for _, _, rows in compare(runs).summary.aspects for row in rows]
    whys = {cell.why for row in rows for cell in row.cells.values()}
    return {command for why in whys for command in re.findall("`([^`]*)`", why)}


def test_every_command_that_is_named_is_one(study: Path) -> None:
    """Each is parsed by the command line, whatever lacks."""
    commands = named_in([write_run(study, "clm", 0), write_run(study, "mlm", 0)])
    mixed(study)
    commands |= named_in(find_runs([study])) | {each.measure for each in ASPECTS if each.measure}
    assert len(commands) >= 12
    for command in commands:
        program, name, *arguments = shlex.split(command)
        assert program == "lmcompare"
        command_of(name).make_context(name, arguments)


@pytest.mark.slow
def test_a_thousand_runs_are_compared(invoke: Any, study: Path) -> None:
    objectives = ("clm", "mlm", "prefix", "plm", "t5", "bart", "glm", "mntp", "hybrid", "mdlm")
    for objective in objectives:
        for seed in range(100):
            evaluate(write_run(study, objective, seed), 1 + seed / 100)
    result = invoke(study, "--no-write")
    assert result.exit_code == 0, result.output
    assert all(objective in result.stdout for objective in objectives)
    assert f"`lmcompare eval --tasks speed {study}`" in result.stdout
