"""Phases and starts as a user meets them."""

import csv
import io
import json
from pathlib import Path

import pytest

from lmcompare import api
from lmcompare.runs.run import Run
from tests.tiny import Command, flags, the_error

PHASES = ("--phase", "clm:60%", "--phase", "mlm")


def test_phases_by_options(command: Command, corpus: Path) -> None:
    said = command("train", *PHASES, *flags(corpus, budget="10 steps"))
    assert said.code == 0
    run = Run(Path(said.out.strip()))
    assert run.path.name.startswith("clm-mlm-s0-")
    assert [line.phase for line in run.metrics()] == 6 * [1] + 4 * [2]
    assert "phase 2 of 2, mlm on the weights of clm: before its first step" in said.err
    listed = command("curves", "--metric", "loss", "--format", "csv", run.path)
    rows = list(csv.DictReader(io.StringIO(listed.out)))
    assert [(row["objective"], row["phase"]) for row in rows] == (
        6 * [("clm", "1")] + 4 * [("mlm", "2")]
    )
    drawn = command("curves", run.path).out
    assert "seed 0 clm " in drawn
    assert ", then mlm " in drawn


def test_a_start_by_an_option(command: Command, corpus: Path) -> None:
    first = Path(command("train", "-o", "clm", *flags(corpus)).out.strip())
    options = ("-o", "mlm", *flags(corpus), "--init")
    foretold = command("check", *options, first)
    assert foretold.code == 0
    assert [*first.parent.iterdir()] == [first], "checking trains nothing"
    said = command("train", *options, first)
    run = Run(Path(said.out.strip()))
    assert run.record().start is not None
    again = command("train", *options, first)
    assert again.out == said.out
    assert "finished before" in again.err
    for ask in ("check", "train"):
        wrong = the_error(command(ask, *options, first, "-s", "model.layers=3"))
        assert "layers 2 there and 3 here" in wrong


def test_what_phases_cost_is_foretold(command: Command, corpus: Path) -> None:
    said = command("check", *PHASES, *flags(corpus, budget="10 steps"))
    assert "60%" in said.out
    (row,) = json.loads(
        command("check", *PHASES, *flags(corpus, budget="10 steps"), "-f", "json").out
    )
    assert [(each["objective"], each["steps"]) for each in row["phases"]] == [
        ("clm", 6),
        ("mlm", 4),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--phase", "clm:60%", "--phase", "mlm:60%"), "the phases take 120% of the budget"),
        (("--phase", "clm:60%"), "the phases take 60% of the budget"),
        (("--phase", "clm:half", "--phase", "mlm"), "'half' is no share of the budget"),
        (("--phase", "clm", "--phase", "mlm"), "phase 1 of 2 has no budget"),
        ((*PHASES, "-o", "clm"), "the last phase is mlm, and the objective was given as clm"),
        (("-o", "mlm", "--init", "nowhere"), "there is no run or study at nowhere"),
    ],
)
def test_bad_options(command: Command, corpus: Path, options: tuple[str, ...], said: str) -> None:
    assert said in the_error(command("train", *options, *flags(corpus)))
    assert not Path("experiments").exists()


STUDY = """
[shared]
seeds = [0, 1]

[[arm]]
name = "then"
objective = "mlm"
init = "clm"

[[arm]]
objective = "clm"
"""


@pytest.mark.slow
def test_side_by_side_those_that_others_start_from_come_first(
    command: Command, corpus: Path
) -> None:
    settings = [option.removeprefix("--set=") for option in flags(corpus) if "=" in option]
    shared = [f"data.source = {str(corpus)!r}", 'budget = "3 steps"']
    for setting in settings:
        key, _, value = setting.partition("=")
        shared.append(f"{key} = {value}" if value[0].isdigit() else f'{key} = "{value}"')
    Path("study.toml").write_text(STUDY.replace("seeds", "\n".join(shared) + "\nseeds"))
    said = command("train", "study.toml", "--parallel", "2")
    assert said.code == 0, said.err
    places = [Run(Path(line)) for line in said.out.split()]
    starts = [run.record().start for run in places]
    assert [start is None for start in starts] == [True, True, False, False]


def test_from_python(
    corpus: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMCOMPARE_CACHE", str(cache))
    tables = {
        "data": corpus,
        "budget": "5 steps",
        "tokenizer": {"kind": "bytes"},
        "model": {"layers": 2, "width": 24, "heads": 2, "ffn": 29},
        "batch": {"rows": 4, "length": 33},
        "validation": {"times": 2, "blocks": 3},
    }
    (first,) = api.train(phases=["clm:60%", "mlm"], out=tmp_path, **tables)
    (second,) = api.train(objective="mlm", init=first.path, out=tmp_path, **tables)
    start = second.record().start
    assert start is not None
    assert start.trained_by == "clm 60%, mlm 40%"
    assert [line.phase for line in first.metrics()] == [1, 1, 1, 2, 2]
