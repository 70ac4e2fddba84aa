"""What `lmcompare probe` prints of results with known answers."""

import re
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner

from lmcompare.blocks import markdown
from lmcompare.comparison.evaluation_results import EvaluationResults
from lmcompare.evaluation.probes.kind import ProbeKind
from lmcompare.evaluation.probes.record import ProbeRecord
from lmcompare.runs.run import Run
from lmcompare_cli.commands.results import results as results_command
from lmcompare_cli.rendering.pages import print_page
from tests.comparison.known_probes import flat, probe
from tests.comparison.known_runs import write_run
from tests.terminals import be_terminal


def page(*runs: Run) -> str:
    return markdown.render(ProbeKind().page(results(*runs)))


def results(*runs: Run) -> list[tuple[Run, ProbeRecord]]:
    return [(run, record) for run in runs for record in run.results.read(ProbeRecord)]


def cells(shown: str, task: str) -> list[str]:
    [line] = [line for line in shown.splitlines() if line.startswith(f"| {task} ")]
    return [each.strip() for each in line.strip("|").split("|")]


def test_a_row_holds_the_score_and_what_stands_beside_it(tmp_path: Path) -> None:
    run = write_run(tmp_path, "clm", 0)
    probe(run, [flat(2), flat(6), flat(4)], control=[flat(0), flat(1), flat(2)])
    probe(run, [flat(4), flat(2), flat(3)], step=0)
    assert cells(page(run), "upos") == [
        *("upos", run.path.name, "1 of 2", "85.7", "14.3", "42.9", "14.3", "57.1"),
    ]


def test_an_untrained_model_of_other_layers_is_no_twin(tmp_path: Path) -> None:
    run = write_run(tmp_path, "clm", 0)
    probe(run, [flat(6)], layers=[2], wanted=(2,))
    probe(run, [flat(4), flat(2), flat(3)], step=0)
    assert cells(page(run), "upos")[-1] == "—"


def test_tasks_stand_in_the_order_of_their_groups(tmp_path: Path) -> None:
    run = write_run(tmp_path, "clm", 0)
    for task, group in (("next-word", "identity"), ("upos", "token"), ("arc", "edge")):
        probe(run, [flat(6)], task=task, group=group)
    probe(run, [flat(6)], probe="mlp")
    shown = page(run)
    order = [shown.index(each) for each in ("| upos", "| arc", "| next-word", "mlp probe")]
    assert order == sorted(order)


def test_notes_say_of_which_tasks_they_are(tmp_path: Path) -> None:
    run = write_run(tmp_path, "clm", 0)
    probe(run, [flat(6)], counts={"empty nodes left out": 1013, "unknown labels": 2})
    tree = {"metric": "UUAS", "baselines": {"chain": flat(3)}, "group": "structure"}
    probe(run, [flat(6)], task="tree-distance", counts={"empty nodes left out": 1013}, **tree)
    probe(run, [flat(6)], task="xpos", counts={"empty nodes left out": 1013})
    shown = page(run)
    assert "en\\_toy-ud: 1,013 empty nodes left out\n" in shown
    assert "en\\_toy-ud: 2 unknown labels (upos)" in shown
    assert "(accuracy; of tree-distance UUAS)" in shown
    assert "compression" not in shown


def test_an_online_code_has_a_column(tmp_path: Path) -> None:
    run = write_run(tmp_path, "clm", 0)
    probe(run, [flat(6)], probe="mdl", codelengths=[(2000.0, 4000.0)])
    assert cells(page(run), "upos")[-1] == "2.50"
    assert str(EvaluationResults(results(run))).count("compression") == 2, "and in a note"


def test_results_are_listed_and_selected_by_what_was_probed_and_how(tmp_path: Path) -> None:
    run = write_run(tmp_path / "study", "hybrid", 0)
    probe(run, [flat(6)], states_of="as mlm")
    probe(run, [flat(6)], task="Case", group="features", probe="mlp", words="last", step=0)
    app = typer.Typer()
    app.command()(results_command)
    shown = CliRunner().invoke(app, [str(tmp_path / "study")]).stdout
    lines = {line.split()[1].strip(","): " ".join(line.split()) for line in shown.splitlines()[2:]}
    assert "probe=linear words=mean states=as mlm examples=371" in lines["upos"]
    assert "probe=mlp words=last examples=371" in lines["Case"]
    assert "0.857 accuracy" in lines["upos"]
    for only, tasks in {
        "probe": {"upos", "Case"},
        "upos": {"upos"},
        "features": {"Case"},
        "mlp": {"Case"},
        "probe=linear": {"upos"},
        "words=last": {"Case"},
        "last,untrained": {"Case"},
        "as mlm": {"upos"},
    }.items():
        shown = CliRunner().invoke(app, [str(tmp_path / "study"), "--only", only]).stdout
        assert {line.split()[1].strip(",") for line in shown.splitlines()[2:]} == tasks, only


def test_it_fits_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path, "hybrid", 0)
    for states in ("as clm", "as mlm"):
        for step in (0, 50, 100):
            probe(run, [flat(6)], task="previous-word", states_of=states, step=step)
    be_terminal(monkeypatch, 80)
    print_page(ProbeKind().page(results(run)))
    shown = capsys.readouterr().out
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert len(re.findall(r"85\.7", shown)) == 8
