"""`lmcompare show --predict`: what the models of runs expect at each place of a text."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.test_widths import assert_all_there
from tests.terminals import be_terminal
from tests.tiny import Command, TrainOnce, flags, the_error

ASKED = ["show", "--predict", "experiments/default", "--text", "the old cat"]


@pytest.fixture
def trained(command: Command, train_once: TrainOnce, corpus: Path) -> Command:
    for objective in ("clm", "mlm", "hybrid"):
        train_once("-o", objective, *flags(corpus))
    return command


def test_formats_agree(trained: Command) -> None:
    content = json.loads(trained(*ASKED, "--format", "json").out)
    arms = [(each["arm"], each["given"]) for each in content["models"]]
    assert sorted(arms) == [
        ("clm", "left"),
        ("hybrid as clm", "left"),
        ("hybrid as mntp", "both"),
        ("mlm", "both"),
    ]
    rows = list(csv.DictReader(io.StringIO(trained(*ASKED, "--format", "csv").out)))
    places = [place for each in content["models"] for place in each["places"]]
    assert [float(row["log_prob"]) for row in rows] == [place["log_prob"] for place in places]
    table, page = trained(*ASKED), trained(*ASKED, "--format", "md")
    assert "clm: sees what stands before each token." in table.out
    assert "mlm: sees both sides of each token, which is hidden." in table.out
    for each in content["models"]:
        for place in each["places"]:
            assert f" {place['rank']} " in table.out
            assert f" {place['rank']} " in page.out
    assert table.err == page.err == ""


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_loses_nothing(
    trained: Command, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    piped = trained(*ASKED).out
    with monkeypatch.context() as patched:
        be_terminal(patched, width)
        narrow = trained(*ASKED).out
    assert max(map(cell_len, narrow.splitlines())) <= width
    assert_all_there(narrow, piped, width)


def test_a_page_of_runs(trained: Command) -> None:
    said = trained(*ASKED, "--html", "page.html")
    assert said.out == ""
    page = Path("page.html").read_text()
    assert page.count("What trained models expect") == 1
    assert page.count('role="img"') == 4  # of clm, mlm, and both parts of hybrid
    assert "hybrid as mntp" in page


def test_runs_that_are_none(trained: Command) -> None:
    assert "no-run" in the_error(trained("show", "--predict", "no-run"))
    assert "no text" in the_error(trained(*ASKED[:3], "--text", ""))
