"""Context use through the command line, of models that see either side or one."""

import json
from pathlib import Path

import pytest

from tests.tiny import Command, TrainOnce, flags

ASKED = ["--asked-tokens=31", "--curve-tokens=7", "--changed-tokens=3", "--reach=5"]


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    for objective in ("clm", "mlm", "t5", "mdlm"):
        train_once("-o", objective, *flags(corpus))
    return Path("experiments/default")


def test_each_is_asked_as_it_legitimately_can(command: Command, study: Path) -> None:
    said = command("eval", study, "--tasks", "context", *ASKED, "--format", "json")
    assert said.code == 0, said.err
    rows = {row["arm"]: row for row in json.loads(said.out)}
    assert {name: row["given"] for name, row in rows.items()} == {
        **dict.fromkeys(("mlm", "t5", "mdlm"), "both"),
        "clm": "left",
    }
    assert len({row["text"] for row in rows.values()}) == 1, "the same tokens"
    for name, row in rows.items():
        assert (row["num_tokens"], row["distances"]) == (31, [0, 1, 2, 4, 5])
        assert row["gain"]["left"] != 0
        assert (row["gain"]["right"] == 0) == (name == "clm")
        assert (sum(row["gradient"]["right"]) == 0) == (name == "clm")
        assert sum(map(sum, row["gradient"].values())) == pytest.approx(1)
    files = {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")}
    assert command("eval", study, "--tasks", "context", *ASKED).code == 0
    assert {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")} == files
    table = command("compare", study, "--no-write", "--table", "context").out
    assert "Context by distance" in table
    assert "sees nothing on the right of a token that it predicts" in table
    assert "nats from the right" in command("compare", study, "--no-write").out


def test_its_page_says_which_side_is_seen(command: Command, study: Path) -> None:
    said = command("eval", study, "--tasks", "context", *ASKED)
    assert "both sides" in said.out
    assert "left side: sees nothing on the right" in said.out


def test_options_that_make_no_sense_are_refused_in_a_line(command: Command, study: Path) -> None:
    said = command("eval", study, "--tasks", "context", "--reach", "0")
    assert said.code != 0
    assert "reach" in said.err
    said = command("eval", study, "--reach", "3")
    assert "--reach is about context use, which is not asked for: add context" in said.err
