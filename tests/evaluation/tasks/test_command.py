"""`lmcompare eval` and `lmcompare tasks`, as a user meets them."""

import json
from pathlib import Path

import pytest

from lmcompare.evaluation.tasks.record import TaskRecord
from lmcompare.evaluation.tasks.registry import known
from tests.evaluation.tasks.small_tasks import PAIRS
from tests.tiny import Command, Trainer, tiny


def test_the_command_line(command: Command, train: Trainer, corpus: Path, suites: Path) -> None:
    runs = [train(tiny(corpus, name)) for name in ("clm", "mlm")]
    tasks = str(suites / "tasks.toml")
    code, out, _ = command("eval", *[run.path for run in runs], "--tasks", tasks)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        *("task", "run", "protocol", "metric", "value", "std.", "error", "untrained", "chance"),
        *("examples", "also"),
    ]
    assert [line.split()[0] for line in lines[1:5]] == ["last", "last", "order", "order"]
    (record, _) = [each for each in runs[0].results.read(TaskRecord) if each.task == "order"]
    assert f"{record.value:.1%}" in lines[3]
    assert any("order: pll of whole sentences, summed (mlm-s0" in line for line in lines)
    rows = json.loads(command("eval", *[r.path for r in runs], "--tasks", tasks, "-f", "json").out)
    assert len(rows) == 8
    assert {row["task"] for row in rows} == {"order", "last"}


@pytest.mark.slow
def test_a_task_is_asked_in_the_ways_that_are_named(
    command: Command, train: Trainer, corpus: Path, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmcompare.evaluation.supervised.finetuning.MOST_STEPS", 2)
    run = train(tiny(corpus))
    lines = "".join(f"{good}\tgood\n{bad}\tbad\n" for good, bad in PAIRS * 4)
    (suites / "both.tsv").write_text(f"text\tlabel\n{lines}")
    with (suites / "tasks.toml").open("a") as file:
        file.write(
            '[both]\nkind = "classification"\ngroup = "understanding"\n'
            'train = ["both.tsv"]\ntest_every = 4\n'
        )
    place = ["eval", run.path, "--tasks", suites / "tasks.toml", "--no-untrained", "-f", "json"]
    rows = json.loads(command(*place, "--task-protocol", "probe", "--task-protocol", "10").out)
    protocols = [("last", "asked"), ("order", "asked"), ("both", "10"), ("both", "probe")]
    assert {(row["task"], row["protocol"]) for row in rows} == {*protocols}, (
        "what has one protocol is asked in it"
    )
    place += ["--task-protocol", "10", "--task-protocol", "probe"]
    (few, *_), _ = (
        sorted(rows, key=lambda row: row["protocol"])
        for rows in (
            [row for row in json.loads(command(*place, *more).out) if row["task"] == "both"]
            for more in (["--train-examples", "6", "--examples", "3"], [])
        )
    )
    assert few["version"] == 2
    assert few["num_items"] == 3, "those that are asked about"
    assert few["settings"]["training examples"] == 6
    assert few["settings"]["validation examples"] <= 6
    assert {each["pooling"] for each in few["trials"]} == {"mean", "last", "first"}
    (forced, probe, *others) = json.loads(command(*place, "--pooling", "last").out)[-2:]
    assert not others
    for row, protocol in ((forced, "10 last"), (probe, "probe last")):
        assert row["protocol"] == protocol, "a question of its own"
        assert {each["pooling"] for each in row["trials"]} == {"last"}
    lines = command(*place[:-6], *place[-4:]).out
    assert "both: 10: pooling " in lines
    assert "chosen by validation: mean " in lines
    for option, said in (("--pooling=mean", "pools states"), ("--train-examples=5", "learns from")):
        code, out, err = command("eval", run.path, option)
        assert (code, out) == (1, "")
        name = option.partition("=")[0]
        assert f"{name} is about benchmarks, which is not asked for: add NAME" in err
        code, out, err = command("eval", run.path, "--tasks", "zorro", option)
        assert (code, out) == (1, "")
        assert f"no chosen task {said}" in err
    place = place[:-4]
    code, out, err = command(*place, "--task-protocol", "prob")
    assert (code, out) == (1, "")
    assert "no chosen task has the protocol 'prob' (--task-protocol): did you mean 'probe'?" in err
    code, out, err = command("eval", run.path, "--task-protocol", "all")
    assert "--task-protocol is about benchmarks, which is not asked for: add NAME" in err


def test_a_task_that_fails_takes_no_other_down(
    command: Command, train: Trainer, corpus: Path, suites: Path
) -> None:
    run = train(tiny(corpus))
    (suites / "last.jsonl").unlink()
    code, out, err = command("eval", run.path, "--tasks", f"likelihood,{suites / 'tasks.toml'}")
    assert code == 1
    assert "the task last wants last.jsonl, and there is no such file in" in err
    assert "order" in out
    assert "causal" in out
    code, out, err = command("eval", run.path, "--tasks", "blimp")
    assert (code, out) == (1, "")
    assert "name the folder that holds it with --task-data" in err


def test_tasks_are_listed(command: Command) -> None:
    code, out, _ = command("tasks")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()[1:]} == {*known()}
    assert {row["name"] for row in json.loads(command("tasks", "-f", "json").out)} == {*known()}


def test_a_set_of_last_words_is_made(command: Command, tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text("She ran to the old house. It was empty. Nobody had been there for years.")
    code, out, _ = command("cloze", "--data", text, "--words", "5", "-n", "7")
    assert code == 0
    assert {json.loads(line)["text"] for line in out.splitlines()} == {
        "She ran to the old house",
        "It was empty. Nobody had been there for years",
    }
    code, out, err = command("cloze", "--data", text, "--words", "99")
    assert (code, out) == (1, "")
    assert "no document of" in err
    assert "name one with --data" in command("cloze").err
