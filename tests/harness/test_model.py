"""Our models in the harness itself: its numbers are ours."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmcompare import api
from lmcompare.errors import UserError
from lmcompare.harness import NAME, register
from lmcompare.runs.run import Run
from tests.tiny import Trainer, tiny

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is an extra: pip install '.[lm-eval]'")

# what the harness itself warns of is its own
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

PAIRS = [("the old dog ran", "the old the ran"), ("a cat slept", "a slept slept")] * 2 + [
    ("the cat saw a tree", "cat cat saw a tree")
]
TEXTS = ["the old dog saw a cat", "a tree", "the cat ran to the tree", "a dog slept"]
MIXED = ["clm", "mlm", "t5", "hybrid", "mdlm"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cache: Path, corpus: Path) -> dict[str, Run]:
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    return {name: trainer(tiny(corpus, name, "budget=15 steps")) for name in MIXED}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, tasks of the harness and tasks of ours for it."""
    folder = tmp_path_factory.mktemp("tasks")
    write(folder / "pairs.jsonl", [{"sentence_good": a, "sentence_bad": b} for a, b in PAIRS])
    write(folder / "texts.jsonl", [{"text": text} for text in TEXTS])
    pairs = {
        "output_type": "multiple_choice",
        "doc_to_text": "",
        "doc_to_choice": "{{[sentence_good, sentence_bad]}}",
        "doc_to_target": 0,
        "target_delimiter": "",
    }
    last = {
        "output_type": "loglikelihood",
        "doc_to_text": "{{text.split(' ')[:-1]|join(' ')}}",
        "doc_to_target": "{{' '+text.split(' ')[-1]}}",
    }
    whole = {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
    }
    written = {
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": "",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 5},
    }
    task(folder, "pairs", "pairs", pairs, "acc")
    task(folder, "last", "texts", last, "acc", "perplexity")
    task(folder, "whole", "texts", whole, "bits_per_byte")
    task(folder, "written", "texts", written, "exact_match")
    (folder / "ours.toml").write_text(
        '[pairs]\nkind = "pairs"\ngroup = "grammar"\nfiles = ["pairs.jsonl"]\n'
        '[last]\nkind = "cloze"\ngroup = "likelihood"\nfiles = ["texts.jsonl"]\n'
    )
    return folder


def write(path: Path, records: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))


def task(folder: Path, name: str, data: str, fields: dict[str, Any], *metrics: str) -> None:
    content = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / f"{data}.jsonl")}},
        "test_split": "test",
        "metric_list": [{"metric": metric} for metric in metrics],
        **fields,
    }
    (folder / f"{name}.yaml").write_text(json.dumps(content))  # which is YAML too


def asked(folder: Path, run: Run, *tasks: str, **arguments: object) -> dict[str, Any]:
    register()
    return lm_eval.simple_evaluate(
        model=NAME,
        model_args={"run": str(run.path), **arguments},
        tasks=list(tasks),
        task_manager=lm_eval.tasks.TaskManager(include_path=str(folder), include_defaults=False),
        device="cpu",
        bootstrap_iters=0,
    )


@pytest.mark.parametrize("name", MIXED)
def test_its_numbers_are_ours(
    runs: dict[str, Run], folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("LMCOMPARE_CACHE", str(cache))
    found = asked(folder, runs[name], "pairs", "last")
    ours = api.evaluate(runs[name], folder / "ours.toml", device="cpu", untrained=False)
    by_task = {record.task: record for _, record in ours}
    assert found["results"]["pairs"]["acc,none"] == pytest.approx(by_task["pairs"].value)
    assert found["results"]["last"]["acc,none"] == pytest.approx(by_task["last"].value)
    nats = by_task["last"].figures["nats a word"]
    assert math.log(found["results"]["last"]["perplexity,none"]) == pytest.approx(nats, rel=1e-5)
    assert found["config"]["model_objective"] == name
    scoring = found["config"]["model_scoring"]
    assert scoring["pairs"].startswith(by_task["pairs"].scoring)
    assert scoring["last"].startswith(by_task["last"].scoring)


def test_whole_texts_and_writing(runs: dict[str, Run], folder: Path) -> None:
    found = asked(folder, runs["clm"], "whole", "written")
    assert 0 < found["results"]["whole"]["bits_per_byte,none"] < 8
    written = [sample["resps"][0][0] for sample in found["samples"]["written"]]
    assert len(written) == len(TEXTS)
    assert all("\n" not in text for text in written)
    with pytest.raises(UserError, match="mlm has no probability of a whole text"):
        asked(folder, runs["mlm"], "whole")


def test_what_is_wrong_is_said_in_one_line(runs: dict[str, Run], folder: Path) -> None:
    with pytest.raises(UserError, match="know no scorign: did you mean 'scoring'"):
        asked(folder, runs["clm"], "pairs", scorign="pll")
    with pytest.raises(UserError, match="no checkpoint of step 3: it has those of steps 14, 15"):
        asked(folder, runs["clm"], "pairs", checkpoint=3)
    with pytest.raises(UserError, match=r"cannot be read as 'mlm': clm mixes nothing"):
        asked(folder, runs["clm"], "pairs", read_as="mlm")
    with pytest.raises(UserError, match="cannot be scored by 'pll'"):
        asked(folder, runs["clm"], "pairs", scoring="pll")
    with pytest.raises(UserError, match="holds 5 runs and one can be asked at a time"):
        asked(folder, Run(runs["clm"].path.parent), "pairs")


def test_a_part_of_a_mixture_and_a_checkpoint_are_asked(runs: dict[str, Run], folder: Path) -> None:
    found = asked(folder, runs["hybrid"], "pairs", read_as="mntp", checkpoint=14)
    assert found["config"]["model_scoring"] == {"pairs": "pll (pseudo) of whole texts"}
    assert found["config"]["model_step"] == 14


def test_the_command_ends_with_one_line(
    runs: dict[str, Run],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from lmcompare_cli import lm_eval as command

    arguments = ["--model", NAME, "--model_args", "run=nowhere", "--tasks", "pairs"]
    monkeypatch.setattr("sys.argv", ["lm-eval", "run", *arguments, "--include_path", str(folder)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert "error: there is no run or study at nowhere" in capsys.readouterr().err
