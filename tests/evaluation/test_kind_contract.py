"""A kind of evaluation from outside the package goes all the way; its metric is not a share."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from scipy.stats import spearmanr

import lmcompare_cli.commands.eval
from lmcompare.comparison import compare
from lmcompare.evaluation import registry
from lmcompare.runs.finding import find_runs
from lmcompare_cli.group import command_of
from tests import ROOT
from tests.evaluation.toy import RarityItem, RarityOptions, RarityRecord
from tests.tiny import Command, TrainOnce, flags, the_error


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kind is named in the registry, by one line, and the command line is made anew."""
    monkeypatch.setattr(registry, "OPTIONS", [*registry.OPTIONS, RarityOptions])
    _make_the_command_anew()
    yield
    monkeypatch.undo()
    _make_the_command_anew()


def _make_the_command_anew() -> None:
    importlib.reload(lmcompare_cli.commands.eval)
    command_of.cache_clear()


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    for seed in (0, 1, 2):
        for objective in ("clm", "mlm"):
            train_once("-o", objective, *flags(corpus, f"seed={seed}"))
    return Path("experiments/default")


def test_it_is_measured_kept_and_not_measured_again(command: Command, study: Path) -> None:
    said = command("eval", study, "--tasks", "rarity", "--documents", "11", "--format", "json")
    assert said.code == 0, said.err
    rows = json.loads(said.out)
    assert len(rows) == 6
    for row in rows:
        assert -1 <= row["correlation"] <= 1
        assert row["num_documents"] == 11
    (run, *_) = find_runs([study])
    (record,) = run.results.read(RarityRecord)
    items = run.results.items(record, RarityItem)
    expected = spearmanr([each.bits for each in items], [each.unigram_bits for each in items])
    assert record.correlation == pytest.approx(expected.statistic)
    files = {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")}
    again = command("eval", study, "--tasks", "rarity", "--documents", "11", "--format", "json")
    assert again.out == said.out
    assert {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")} == files


def test_it_stands_in_every_format_of_a_comparison(command: Command, study: Path) -> None:
    assert command("eval", study, "--tasks", "rarity", "--documents", "11").code == 0
    comparison = compare(find_runs([study]))
    found = comparison.frame[comparison.frame["metric"] == "rarity_correlation"]
    assert len(found) == 6
    means = found.groupby("label")["value"].mean()
    for layout in ("table", "md", "tex"):
        out = command("compare", study, "--no-write", "--format", layout, "--table=rarity").out
        assert "Rarity" in out
        for value in means:
            assert f"{value:+.2f}" in out.replace("$-$", "-").replace("\\(-\\)", "-"), layout
        assert "from -1 to 1, higher is better" in out
        assert "%" not in out.split("Rarity")[1].split("rho")[0]
    [table] = json.loads(command("compare", study, "--no-write", "--format", "json").out)["tables"][
        "rarity"
    ]
    assert table["rows"]["clm"]["rarity_correlation"]["mean"] == pytest.approx(means["clm"])
    csv = command("compare", study, "--no-write", "--format", "csv").out
    assert "rarity_correlation" in csv
    (fact,) = [each for each in comparison.facts if each.name == "documents of rarity"]
    assert fact.equal
    assert not fact.ranks, "nothing is ranked by it"


class OfFewer(RarityRecord):
    """The same text, of fewer documents."""

    @property
    def stem(self) -> str:
        return f"{super().stem}-{self.num_documents}"


def test_a_run_that_was_measured_twice_counts_as_one_seed(command: Command, study: Path) -> None:
    assert command("eval", study, "--tasks", "rarity", "--documents", "11").code == 0
    first = next(run for run in find_runs([study]) if run.record().arm == "clm")
    (record,) = first.results.read(RarityRecord)
    fewer = OfFewer(**record.model_dump() | {"num_documents": 7, "correlation": -1.0})
    first.results.write(fewer, first.results.items(record, RarityItem))
    (table,) = compare(find_runs([study])).tables["rarity"]
    seeds = {label: found["rarity_correlation"].num for label, found in table.rows.items()}
    assert seeds == {"clm (causal, documents 11)": 3, "clm (causal, documents 7)": 1, "mlm": 3}


def test_it_is_listed_selected_and_dropped(command: Command, study: Path) -> None:
    assert command("eval", study, "--tasks", "likelihood,rarity", "--limit", "60").code == 0
    listed = json.loads(command("results", study, "--format", "json").out)
    assert {each["record"]["task"] for each in listed} == {"likelihood", "rarity"}
    only = command("compare", study, "--no-write", "--only", "rarity", "--format", "json").out
    assert json.loads(only)["tables"]["rarity"]
    assert command("results", study, "--remove", "rarity", "--yes").code == 0
    assert not [*study.glob("*/eval/rarity-*")]
    assert [*study.glob("*/eval/likelihood-*")]


def test_runs_that_lack_it_are_named_with_what_to_do(command: Command, study: Path) -> None:
    first = sorted(study.glob("clm-*"))[0]
    assert command("eval", first, "--tasks", "rarity").code == 0
    out = command("compare", study, "--no-write", "--table", "all").out.replace("\n", " ")
    assert "rarity not measured: `lmcompare eval --tasks rarity" in out


def test_its_options_have_a_panel_and_are_of_use_to_it_alone(command: Command, study: Path) -> None:
    shown = command("eval", "--help").out
    assert "Rarity" in shown
    assert "--documents" in shown
    assert "How many documents are scored." in shown
    said = command("eval", study, "--documents", "3")
    assert "--documents is about rare tokens, which is not asked for: add rarity to --tasks" in (
        the_error(said)
    )


def test_a_misspelt_kind_is_answered_with_the_nearest(command: Command, study: Path) -> None:
    assert "there is no task 'rarty': did you mean 'rarity'?" in the_error(
        command("eval", study, "--tasks", "rarty")
    )


def test_the_page_on_kinds_shows_this_very_code() -> None:
    page = (ROOT / "docs" / "add-an-evaluation.md").read_text(encoding="utf-8")
    code = (ROOT / "tests" / "evaluation" / "toy.py").read_text(encoding="utf-8")
    _, _, rest = page.partition("```python\n")
    shown = rest.partition("```")[0]
    assert shown in code
    assert shown.count("class ") >= 3
