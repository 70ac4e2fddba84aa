"""The Python interface, and the page about it, whose code is run."""

# ruff: noqa: F401, F811 -- fixtures are imported and asked for by name

import inspect
import io
import re
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lmcompare
from lmcompare.comparison import COLUMNS
from lmcompare.config.run import RunConfig
from lmcompare.runs.run import Run
from lmcompare.training.events import Interrupted, Message
from tests import ROOT
from tests.tiny import Command, cache, command, corpus, flags, sentences, unmeasured

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
TINY: dict[str, Any] = {
    "budget": "3 steps",
    "model": {"layers": 2, "width": 24, "heads": 2, "ffn": 29},
    "tokenizer": {"kind": "bytes"},
    "batch": {"rows": 4, "length": 33},
    "validation": {"times": 2, "blocks": 3},
    "runtime": {"precision": "float32", "threads": 1, "save_every": 7, "device": "cpu"},
}


@pytest.fixture
def folder(tmp_path: Path, cache: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, but for a text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMCOMPARE_CACHE", str(cache))
    (tmp_path / "text.txt").write_text(corpus.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def train(objective: str = "clm", **settings: Any) -> lmcompare.Runs:
    return lmcompare.train(objective=objective, data="text.txt", **{**TINY, **settings})


def test_importing_it_takes_no_time() -> None:
    heavy = ("torch", "pandas", "scipy", "tokenizers", "pydantic", "typer", "rich")
    code = (
        f"import lmcompare, sys; assert not {{*{heavy}}} & {{*sys.modules}}, sys.modules.keys(); "
        "assert callable(lmcompare.compare) and 'torch' in sys.modules; "
        "import lmcompare.comparison; assert callable(lmcompare.compare); "
        "assert {*lmcompare.__all__} <= {*dir(lmcompare)}; "
        "assert all(hasattr(lmcompare, name) for name in lmcompare.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_what_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trayn'"):
        lmcompare.trayn  # noqa: B018


def test_the_page_says_what_its_code_prints(folder: Path) -> None:
    blocks = re.findall(r"```(python|text)\n(.*?)```", PAGE, re.DOTALL)
    assert blocks[0][0] == "python"
    space: dict[str, Any] = {}
    printed: list[tuple[str, str]] = []
    for kind, content in blocks:
        if kind == "python":
            said = io.StringIO()
            with redirect_stdout(said):
                exec(compile(content, "docs/python.md", "exec"), space)
            printed.append(("text", said.getvalue()))
    assert [each for each in blocks if each[0] == "text"] == printed


def test_the_page_lists_the_columns() -> None:
    (table,) = re.findall(r"<!-- columns -->\n(.*?)<!-- /columns -->", PAGE, re.DOTALL)
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in COLUMNS.items())
    assert table == f"\n| column | meaning and unit |\n| --- | --- |\n{rows}\n"


def test_a_setting_is_a_table_of_the_configuration() -> None:
    names = set(inspect.signature(lmcompare.train).parameters)
    assert set(RunConfig.model_fields) - names == {"seed", "phase"}, "of which there are several"


def test_both_doors_lead_to_the_same_run(folder: Path, command: Command, corpus: Path) -> None:
    work = Path.cwd()  # of the command line
    typed = command("train", "-o", "clm", *flags(corpus), "--seed", "0", "--seed", "1")
    events: list[object] = []
    again = lmcompare.train(
        objective="clm", data=corpus, seeds=[0, 1], report=events.append, **TINY
    )
    assert [str(run.path) for run in again] == typed.out.split()
    assert all(isinstance(event, Message) for event in events), "and nothing was trained"
    assert command("eval", "default", "--limit", "50").code == 0
    results = [*work.rglob("likelihood-*")]
    before = [path.stat().st_mtime_ns for path in results]
    (one, two) = lmcompare.evaluate("default", limit=50)
    after = [path.stat().st_mtime_ns for path in results]
    assert after == before != [], "and nothing was measured again"
    assert [one[0], two[0]] == [*again] == [*lmcompare.load()]
    said = command("compare", "default", "--no-write", "--format", "md").out
    assert said == str(lmcompare.compare("default")) == str(again.compare())


def test_a_study_file_is_trained(folder: Path) -> None:
    shared = "".join(
        f"{name} = {{ {', '.join(f'{key} = {value!r}' for key, value in table.items())} }}\n"
        for name, table in TINY.items()
        if isinstance(table, dict)
    )
    study = folder / "experiments" / "s" / "study.toml"
    study.parent.mkdir(parents=True)
    study.write_text(
        f'[shared]\nbudget = "3 steps"\ndata = {{ source = "text.txt" }}\n{shared}'
        '[[arm]]\nobjective = "clm"\n[[arm]]\nobjective = "mlm"\n',
        encoding="utf-8",
    )
    runs = lmcompare.train("s")
    assert [run.record().arm for run in runs] == ["clm", "mlm"]
    assert [*lmcompare.train(study)] == [*lmcompare.train(study.parent)] != []
    with pytest.raises(lmcompare.UserError, match="says all of its runs itself"):
        lmcompare.train("s", objective="mlm")
    with pytest.raises(lmcompare.UserError, match="has a name, that of its folder or file"):
        lmcompare.train("s", study="t")


def test_values_show_themselves_and_nothing_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = train(seeds=[0, 1])
    found = runs.evaluate(limit=50)
    comparison = runs.compare()
    assert capsys.readouterr() == ("", "")
    assert repr(runs) == f"Runs({runs[0].path}, {runs[1].path})"
    assert repr(runs[1:]) == f"Runs({runs[1].path})"
    assert repr(found[:1]) == (f"EvaluationResults({runs[0].path.name}: {found.records[0].about})")
    assert repr(comparison) == "Comparison(clm)"
    assert found._repr_markdown_() == str(found)
    assert f"| {runs[0].path.name} | causal" in str(found).replace("  ", " ")
    assert comparison._repr_markdown_() == str(comparison)
    assert "### exact" in str(comparison)


def test_frames_have_the_documented_columns(folder: Path) -> None:
    runs = train()
    found = runs.evaluate(limit=50).frame()
    whole = runs.frame()
    assert [*found.columns] == [*whole.columns] == [*COLUMNS]
    measured = whole[whole["scoring"].notna()].reset_index(drop=True)
    assert len(measured) == len(found) > 0
    pd.testing.assert_frame_equal(measured, found)


def test_warnings_are_heard_where_they_are_wanted(folder: Path) -> None:
    first = train(seeds=[0, 1])
    first[0].record_file.write_text("{}", encoding="utf-8")
    told: list[str] = []
    assert [*lmcompare.load("experiments/default", warn=told.append)] == [first[1]]
    assert len(told) == 1
    with pytest.warns(UserWarning, match="left out: "):
        lmcompare.load("experiments/default")
    (folder / "good.jsonl").write_text(
        '{"sentence_good": "the cat ran.", "sentence_bad": "cat the ran."}\n' * 2, encoding="utf-8"
    )
    (folder / "pairs.toml").write_text(
        "".join(
            f'[{name}]\nkind = "pairs"\ngroup = "grammar"\nfiles = ["{name}.jsonl"]\n'
            for name in ("good", "none")
        ),
        encoding="utf-8",
    )
    with pytest.warns(UserWarning, match=r"none\.jsonl"):
        found = first[1:].evaluate("pairs.toml", untrained=False)
    assert [record.task for record in found.records] == ["good"]
    assert [str(error) for error in found.errors] == [str(error) for error in found[:0].errors]
    assert "none.jsonl" in str(found.errors[0])


def test_what_was_stopped_goes_on(folder: Path) -> None:
    seen: list[object] = []
    with pytest.raises(Interrupted):
        train(report=seen.append, should_stop=lambda: len(seen) > 0 and "line" in vars(seen[-1]))
    with pytest.raises(lmcompare.UserError, match="no run is finished"):
        lmcompare.compare("default")
    assert lmcompare.compare("default", unfinished=True).notes
    assert [run.state() for run in train()] == ["finished"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tasks": ["likelihoodd"]}, "there is no task 'likelihoodd': did you mean 'likelihood'?"),
        ({"tasks": ["benchmark"]}, "there is no task 'benchmark'"),
        ({"limitt": 3}, "there is no option 'limitt': did you mean 'limit'?"),
        ({"limit": -1}, "`limit=` cannot be -1: input should be greater than or equal to 0"),
        ({"limit": [3, 5]}, r"`limit=` cannot be \[3, 5\]: input should be a valid integer"),
        ({"scoring": 3}, "`scoring=` cannot be 3: input should be a valid string"),
        ({"split": "banana"}, "`split=` cannot be 'banana': input should be 'train', 'validation'"),
        (
            {"batch_size": 0},
            "`batch_size=` cannot be 0: input should be greater than or equal to 1",
        ),
        ({"examples": 3}, "`examples=` is about benchmarks, which is not asked for: add NAME"),
        ({"data": "nowhere"}, "there is no file, folder or match for 'nowhere'"),
        ({"runs": []}, "there is no run to choose from"),
        ({"runs": "nowhere"}, "there is no run or study at nowhere"),
        (
            {"tasks": ["generation"], "decoding": "beam=2"},
            "the decoding 'beam=2' sets 'beam', which is not a setting of sampling: did you mean",
        ),
    ],
)
def test_mistakes_in_evaluation(folder: Path, given: dict[str, Any], said: str) -> None:
    runs = given.pop("runs", None)
    tasks = given.pop("tasks", [])
    with pytest.raises(lmcompare.UserError, match=said):
        lmcompare.evaluate(train() if runs is None else runs, *tasks, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no objective is given: say objective="),
        ({"objective": "mml"}, "no objective is called 'mml': did you mean 'mlm'?"),
        ({"objective": "clm", "batch": {"row": 3}}, "there is no setting 'batch.row'"),
        ({"objective": "clm", "data": 3}, "there is no file, folder or match for '3'"),
        ({"objective": "clm", "seeds": -1}, "seed cannot be -1"),
        ({"objective": "clm", "seeds": 1.5}, "seed cannot be 1.5"),
        ({"objective": "clm", "study": "a/b"}, "'a/b' is no name for an arm or a study"),
        ({"study_file": "nowhere"}, "there is no run or study at nowhere"),
    ],
)
def test_mistakes_in_training(folder: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(lmcompare.UserError, match=re.escape(said)):
        lmcompare.train(**given)
    assert not [*folder.glob("experiments/*/*/run.json")]
