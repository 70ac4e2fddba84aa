"""`lmcompare study`: one command from nothing to the summary and the report."""

from pathlib import Path

import pytest

from lmcompare_cli.commands import study
from tests.tiny import Command, flags, the_error


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask little: what comes out is not what is tested here."""
    few = {"limit": 200, "texts": 2, "prompt_tokens": 2, "new_tokens": 3, "rounds": 1}
    monkeypatch.setattr(study, "OPTIONS", few)


def test_it_trains_asks_compares_and_reports_and_goes_on(command: Command, corpus: Path) -> None:
    said = command("study", "mine", *flags(corpus))
    assert said.code == 0, said
    folder = Path("experiments/mine")
    runs = [line for line in said.out.splitlines() if line.startswith("experiments/mine/")]
    assert len(runs) == 3  # two runs, and the report
    assert runs[-1] == "experiments/mine/report.html"
    for aspect in ("Attention", "Training signal", "Learns", "Generation", "Inference"):
        assert aspect in said.out
    assert "<title>mine" in (folder / "report.html").read_text(encoding="utf-8")
    assert (folder / "tables" / "compare.md").is_file()
    trained = {path: path.stat().st_mtime_ns for path in folder.glob("*/done.json")}
    assert len(trained) == 2
    again = command("study", "mine")
    assert again.code == 0, again
    assert "finished before" in again.err
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/done.json")} == trained


def test_other_settings_are_another_study(command: Command, corpus: Path) -> None:
    folder = Path("experiments/mine")
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text('[[arm]]\nobjective = "clm"\n', encoding="utf-8")
    said = command("study", "mine", *flags(corpus))
    assert "says otherwise" in the_error(said)
    assert [path.name for path in folder.iterdir()] == ["study.toml"]


def test_objectives_that_there_are_not_leave_nothing(command: Command, corpus: Path) -> None:
    said = command("study", "mine", "--objectives", "clm,mlx", *flags(corpus))
    assert "mlm" in the_error(said)
    assert not Path("experiments/mine/study.toml").exists()
