"""`lmcompare objectives` as a user meets it."""

import csv
import json
import subprocess
import sys

import pytest

from lmcompare.objectives import OBJECTIVES, T5, Hybrid, MixturePart, Mlm, Objective, Prefix, Ul2
from lmcompare.training.objective_table import brief, catalogue, describe
from lmcompare_cli.console import output
from tests.tiny import Command, the_error


def names(lines: list[str]) -> list[str]:
    """The first words of lines that are not indented, up to the notes."""
    return [line.split()[0] for line in lines[: lines.index("")] if line[0] != " "]


def test_every_objective_is_listed(command: Command) -> None:
    said = command("objectives")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split() == ["name", "kind", "predicted", "cost", "paper"]
    assert names(lines) == ["name", *OBJECTIVES]
    for name, kind in OBJECTIVES.items():
        facts, predicts, generates = lines[(at := names(lines).index(name) * 3 - 2) : at + 3]
        assert facts.endswith(kind.paper)
        assert predicts == f"    predicts {kind.predicts}; sees {kind.attention}"
        assert generates.startswith(f"    generates {kind.generates}; scores text")


def test_a_narrow_terminal_folds_and_loses_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command("objectives").out.split()
    monkeypatch.setattr(output, "_force_terminal", True)
    monkeypatch.setattr(output, "_width", 80)
    monkeypatch.setattr(output, "_color_system", None)
    folded = command("objectives").out
    assert max(map(len, folded.splitlines())) <= 80
    assert folded.split() == whole
    for name in OBJECTIVES:
        assert max(map(len, command("objectives", name).out.splitlines())) <= 80


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_in_full(command: Command, name: str) -> None:
    lines = command("objectives", name).out.splitlines()
    objective = OBJECTIVES[name].model_validate({})
    document = sys.modules[type(objective).__module__].__doc__
    assert document
    assert lines[0] == document.splitlines()[0]
    assert " ".join(document.split()) in " ".join("\n".join(lines).split())
    head = next(i for i, line in enumerate(lines) if line.startswith("scoring"))
    scorings = [line.split()[0] for line in lines[head + 1 : lines.index("", head)]]
    assert scorings == list(objective.scorings)
    settings = [line.split()[0] for line in lines if line.startswith("objective.")]
    assert settings == [f"objective.{key}" for key in type(objective).model_fields if key != "name"]


def test_formats_agree(command: Command) -> None:
    rows = json.loads(command("objectives", "--format", "json").out)
    table = list(csv.DictReader(command("objectives", "--format", "csv").out.splitlines()))
    head, _, *lines = command("objectives", "--format", "md").out.splitlines()
    assert [row["name"] for row in rows] == list(OBJECTIVES)
    for row, other, line in zip(rows, table, lines, strict=True):
        assert list(other) == head.strip("| ").split(" | ")
        assert {key: str(row[key]) for key in other} == other
        shown = {**other, "name": f"`{row['name']}`", "predicted": f"{row['predicted']:.0%}"}
        shown["cost"] = f"{row['cost']:.2f}"
        assert line == f"| {' | '.join(shown.values())} |"
        objective = OBJECTIVES[row["name"]].model_validate({})
        assert list(row["scorings"]) == list(objective.scorings)
        defaults = {each["name"]: each["default"] for each in row["settings"]}
        assert {"name": row["name"], **defaults} == json.loads(objective.model_dump_json())
        assert all(each["description"] for each in row["settings"])
    (one,) = json.loads(command("objectives", "mlm", "--format", "json").out)
    assert one == rows[list(OBJECTIVES).index("mlm")]


def test_unknown_name(command: Command) -> None:
    assert the_error(command("objectives", "mml")) == (
        "no objective is called 'mml': did you mean 'mlm'?"
    )


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from lmcompare_cli.app import app\n"
        "app(['objectives', '--help'], standalone_mode=False)\n"
        "print(*{'torch', 'pandas', 'numpy'} & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert "objectives [OPTIONS]" in done.stdout
    assert done.stderr.strip() == ""


def test_shares_are_those_of_the_papers() -> None:
    predicted = {entry.objective.name: entry.predicted for entry in catalogue()}
    assert predicted["clm"] == 1
    assert predicted["bart"] == 1 + 1 / 512, "and the end of the text"
    assert predicted["mlm"] == predicted["mntp"] == pytest.approx(0.15, rel=0.02)
    assert predicted["plm"] == pytest.approx(1 / 6, rel=0.02)
    for name in ("prefix", "mdlm"):
        assert predicted[name] == pytest.approx(0.5, rel=0.04)
    assert predicted["hybrid"] == pytest.approx((1 + 0.15) / 2, rel=0.02)
    num_noise, num_spans = round(512 * 0.15), round(round(512 * 0.15) / 3)
    assert predicted["t5"] == pytest.approx((num_noise + num_spans + 1) / 512)


def test_costs_are_relative_to_the_causal_model() -> None:
    cost = {entry.objective.name: entry.cost for entry in catalogue()}
    assert cost["clm"] == 1
    assert cost["t5"] < cost["mlm"] < 1  # fewer logits, and an encoder and a short output
    assert 1 < cost["plm"] < 1.2  # a sixth of the text stands there twice
    assert cost["prefix"] == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(
    ("objective", "kind", "scores"),
    [
        (Prefix(), "exact", "text, continuation, holes from the left only"),
        (Mlm(), "pseudo", "text, continuation (exact), holes (exact)"),
        (Ul2(architecture="decoder"), "exact", "text, continuation, holes"),
        (
            Hybrid(parts=(MixturePart(objective=Mlm()), MixturePart(objective=Prefix()))),
            "pseudo",
            "text, continuation (exact), holes (exact)",
        ),
    ],
)
def test_what_it_scores(objective: Objective, kind: str, scores: str) -> None:
    entry = describe(objective)
    assert (entry.kind, entry.scores) == (kind, scores)


def test_a_setting_in_brief() -> None:
    parts = (
        MixturePart(objective=Mlm(rate=0.3, select="word"), share=2),
        MixturePart(objective=T5(architecture="decoder", roll=True)),
    )
    assert brief(parts) == (
        "mlm (rate=0.3, select=word) (share=2), t5 (architecture=decoder, roll=true)"
    )
    assert [brief(each) for each in (1 / 6, 3.0, 5, None, False, "word")] == [
        *("0.166667", "3", "5", "none", "false", "word")
    ]
