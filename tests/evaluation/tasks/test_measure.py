"""Runs at tasks: kept, gone on with, and beside the models as they started."""

# ruff: noqa: F401, F811 -- fixtures are imported and asked for by name

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from torch import Tensor

from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.span_scoring import Span, SpanScore, score_spans
from lmcompare.evaluation.tasks import minimal_pairs
from lmcompare.evaluation.tasks.base import Answers, Examples, Task
from lmcompare.evaluation.tasks.measure import _blank, measure_task, ratio
from lmcompare.evaluation.tasks.minimal_pairs import Pairs
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord
from lmcompare.evaluation.tasks.registry import choose, known, read_tasks
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.loaded_model import LoadedModel, load_model
from lmcompare.runs.run import Run
from lmcompare.view import View
from tests.tiny import Command, Trainer, cache, command, corpus, tiny, train, unmeasured

PAIRS = [
    ("the old cat saw a dog.", "the cat old saw a dog."),
    ("a dog ran", "a ran dog"),
    ("the tree slept.", "the slept tree."),
    ("a cat ran to a tree", "a cat tree to a ran"),
    ("the cat saw the dog", "cat the saw dog the"),
]
TOML = """
[order]
kind = "pairs"
group = "grammar"
files = ["order.jsonl"]
parts = { length = "length" }

[last]
kind = "cloze"
group = "likelihood"
files = ["last.jsonl"]
"""


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "tasks.toml").write_text(TOML)
    (folder / "order.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    **{"sentence_good": good, "sentence_bad": bad},
                    "length": "long" if len(good) > 15 else "short",
                }
            )
            + "\n"
            for good, bad in PAIRS
        )
    )
    (folder / "last.jsonl").write_text('{"text": "the old dog saw a cat"}\n{"text": "a dog ran"}\n')
    return folder


@pytest.fixture
def run(train: Trainer, corpus: Path) -> Run:
    return train(tiny(corpus))


def measure(run: Run, suites: Path, **asked: object) -> list[TaskRecord]:
    task = read_tasks(suites / "tasks.toml")[0]
    return measure_task(run, task, task.read(suites), TaskOptions(device="cpu", **asked))  # type: ignore[arg-type]


def test_each_model_stands_beside_the_one_that_it_was(run: Run, suites: Path) -> None:
    trained, started = measure(run, suites)
    assert (trained.is_untrained, started.is_untrained) == (False, True)
    assert trained.step == 20
    for record in (trained, started):
        items = run.results.items(record, TaskItem)
        assert [item.item for item in items] == [0, 1, 2, 3, 4]
        assert record.value == ratio(items)
        assert (record.metric, record.chance, record.num_items) == ("accuracy", 0.5, 5)
        assert (record.scoring, record.likelihood) == ("causal", "exact")
        assert {*record.parts["length"]} == {"long", "short"}
        num = [count for _, count in record.parts["length"].values()]
        parts = sum(value * count for value, count in record.parts["length"].values())
        assert parts / sum(num) == pytest.approx(record.value)
        p = record.value
        assert record.standard_error == pytest.approx(math.sqrt(p * (1 - p) / 4))
    margins = [
        [i.figures["margin"] for i in run.results.items(r, TaskItem)] for r in (trained, started)
    ]
    assert margins[0] != margins[1]
    subject = load_model(run, device="cpu", warn=pytest.fail)
    config = subject.record.config
    fresh = Backbone(config.model, vocab_size=subject.tokenizer.vocab.size, seed=config.seed)
    parts = [Span(text=each) for pair in PAIRS for each in pair]
    costs = [each.nats for each in score_spans(replace(subject, net=fresh.eval()), parts, "causal")]
    expected = [bad - good for good, bad in zip(costs[::2], costs[1::2], strict=True)]
    assert margins[1] == pytest.approx(expected, abs=1e-4)
    assert run.results.read(TaskRecord) == [trained, started] or run.results.read(TaskRecord) == [
        started,
        trained,
    ]


def test_as_many_rows_at_once_as_are_allowed(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    states = Backbone._states

    def seen(self: Backbone, view: View, *others: Any) -> Tensor:
        rows.append(len(view.tokens))
        return states(self, view, *others)

    monkeypatch.setattr(Backbone, "_states", seen)
    margins = []
    for size, most in ((None, 10), (3, 3), (1, 1)):
        rows.clear()
        trained, started = measure(run, suites, batch_size=size, again=True)
        assert max(rows) == most
        margins.append(
            [
                item.figures["margin"]
                for record in (trained, started)
                for item in run.results.items(record, TaskItem)
            ]
        )
    assert margins[1] == pytest.approx(margins[0], abs=1e-5)
    assert margins[2] == pytest.approx(margins[0], abs=1e-5)


def test_what_was_asked_is_not_asked_again(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(run, suites)
    monkeypatch.setattr("lmcompare.evaluation.tasks.measure.ALONE", 0)
    asked: list[str] = []
    true = Pairs.answers

    def counted(self: Pairs, subject: LoadedModel, *rest: object, **more: object) -> Answers:
        asked.append(self.name)
        return true(self, subject, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Pairs, "answers", counted)
    assert measure(run, suites) == first
    assert not asked
    again = measure(run, suites, again=True)
    assert [each.value for each in again] == [each.value for each in first]
    assert len(asked) == 2
    measure(run, suites, limit=3)
    assert len(asked) == 4, "fewer examples are another question"


def test_a_limit_takes_the_same_examples_of_every_run(run: Run, suites: Path) -> None:
    (record,) = measure(run, suites, limit=3, untrained=False)
    numbers = [item.item for item in run.results.items(record, TaskItem)]
    assert len(numbers) == record.num_items == 3
    assert numbers == sorted(numbers)
    again = measure(run, suites, limit=3, untrained=False, again=True)
    assert [item.item for item in run.results.items(again[0], TaskItem)] == numbers


def test_what_was_cut_off_is_gone_on_with(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked twice, and the result is that of one go; half a line does no harm."""
    (whole,) = measure(run, suites, untrained=False)
    items = run.results.items(whole, TaskItem)
    for path in run.path.glob("eval/*"):
        path.unlink()
    monkeypatch.setattr("lmcompare.evaluation.tasks.minimal_pairs.AT_ONCE", 1)
    monkeypatch.setattr("lmcompare.evaluation.tasks.measure.KEPT_AT_ONCE", 1)
    monkeypatch.setattr("lmcompare.evaluation.tasks.measure.ALONE", 0)
    asked: list[int] = []
    true = minimal_pairs.score_spans

    def broken(subject: LoadedModel, *rest: object, **more: object) -> object:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return true(subject, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(minimal_pairs, "score_spans", broken)
    with pytest.raises(KeyboardInterrupt):
        measure(run, suites, untrained=False)
    assert not run.results.read(TaskRecord)
    (unfinished,) = run.path.glob("eval/*.unfinished")
    assert len(unfinished.read_text().splitlines()) == 2
    with unfinished.open("a") as file:
        file.write('{"item": 2, "gai')
    (record,) = measure(run, suites, untrained=False)
    assert len(asked) == 3 + 3, "the two that were kept are not asked again"
    assert record.value == whole.value
    for one, two in zip(run.results.items(record, TaskItem), items, strict=True):
        assert one.figures["margin"] == pytest.approx(two.figures["margin"], abs=1e-5)
    assert not [*run.path.glob("eval/*.unfinished")]


def test_every_checkpoint_gives_a_learning_curve(
    train: Trainer, corpus: Path, suites: Path
) -> None:
    """With what was spent up to each; the last one is as if it had been asked alone."""
    run = train(tiny(corpus, "clm", "runtime.keep=9"))
    records = measure(run, suites, every_checkpoint=True)
    assert [record.step for record in records] == [20, 14, 7, 0]
    metrics = {line.step: line.spent for line in run.metrics()}
    assert [record.spent for record in records[:3]] == [metrics[step] for step in (20, 14, 7)]
    margins = [
        [item.figures["margin"] for item in run.results.items(record, TaskItem)]
        for record in records
    ]
    assert len({*map(tuple, margins)}) == 4
    assert measure(run, suites, again=True) == [records[0], records[3]]


def test_answers_that_change_with_the_batch_are_told(
    run: Run, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in measure(run, suites):
        assert (record.alone, record.alone_differs) == (5, 0)
    true = minimal_pairs.score_spans

    def by_size(subject: LoadedModel, parts: list[Span], scoring: str) -> list[SpanScore]:
        """As if padding took part."""
        return [
            replace(verdict, nats=verdict.nats + len(parts) * number)
            for number, verdict in enumerate(true(subject, parts, scoring))
        ]

    monkeypatch.setattr(minimal_pairs, "score_spans", by_size)
    for record in measure(run, suites, again=True):
        assert (record.alone, record.alone_differs) == (5, 5)


class Impossible(Pairs):
    """What nobody can do."""

    def answers(self, *_: object, **__: object) -> Answers:  # type: ignore[override]
        raise Unsupported("clm has no opinion")


def test_what_cannot_be_asked_is_a_dash_with_a_reason(run: Run, suites: Path) -> None:
    task = Impossible(name="order", group="grammar", files=("order.jsonl",))
    for record in measure_task(run, task, task.read(suites), TaskOptions(device="cpu")):
        assert (record.value, record.reason) == (None, "clm has no opinion")
        assert run.results.items(record, TaskItem) == []


@pytest.mark.slow
def test_every_objective_is_asked_every_kind(train: Trainer, corpus: Path, suites: Path) -> None:
    for name in OBJECTIVES:
        run = train(tiny(corpus, name, "budget=2 steps"))
        for task in read_tasks(suites / "tasks.toml"):
            (record,) = measure_task(
                run, task, task.read(suites), TaskOptions(device="cpu", untrained=False)
            )
            assert record.value is not None, (name, task.name, record.reason)


# the registry


def test_tasks_are_chosen_by_name_group_and_file(suites: Path) -> None:
    folder = Path("somewhere")
    names = [each.task.name for each in choose(["blimp", "grammar"], folder=folder)]
    assert names[0] == "blimp"
    assert len(names) == len({*names}) > 2
    assert {known()[name].group for name in names} == {"grammar"}
    own = choose([str(suites / "tasks.toml"), "zorro"], folder=folder)
    assert [(each.task.name, each.folder) for each in own] == [
        ("order", suites),
        ("last", suites),
        ("zorro", folder),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("[", "is no valid TOML"),
        ("", "holds no tasks"),
        ("kind = 'pairs'", "holds no tasks: write a table [name]"),
        ("[a]\ngroup = 'grammar'", "task a: Unable to extract tag using discriminator 'kind'"),
        ("[a]\nkind = 'quiz'", "task a: Input tag 'quiz' found using 'kind' does not match"),
        ("[a]\nkind = 'pairs'\nfiles = ['x']", "task a: group: Field required"),
        ("[a]\nkind = 'pairs'\ngroup = 'grammar'\nfile = ['x']", "task a: files: Field required"),
        ('["a b"]\nkind = "pairs"', "'a b' is no name for a task"),
        ("[blimp]\nkind = 'pairs'\ngroup = 'grammar'\nfiles = ['x']", "two tasks are called"),
    ],
)
def test_broken_files_of_tasks_are_one_line(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as error:
        choose([str(file), "blimp"], folder=tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_learning_by_another_protocol_is_another_question(run: Run, suites: Path) -> None:
    """What was kept of an older one is neither gone on with nor overwritten."""
    (suites / "both.tsv").write_text("text\tlabel\n" + "a cat\tx\na dog\ty\n" * 9)
    table = {"kind": "classification", "group": "understanding", "train": ["both.tsv"]}
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
    (suites / "both.toml").write_text(f"[both]\n{lines}\ntest_every = 3\n")
    (task,) = read_tasks(suites / "both.toml")
    examples = task.read(suites)
    subject = load_model(run, device="cpu", warn=pytest.fail)
    now = _blank(subject, task, examples, "probe")
    assert now.version == task.version + 1
    before = now.model_copy(update={"version": 1, "value": 0.125, "protocol": "older"})
    run.results.write(before, [])
    run.results.keep_items(before, [TaskItem(item=0, gained=0.25)])
    (record,) = measure_task(
        run, task, examples, TaskOptions(device="cpu", untrained=False, ways=("probe",))
    )
    assert record.value != before.value
    assert {each.gained for each in run.results.items(record, TaskItem)} <= {0.0, 1.0}
    assert {each.version for each in run.results.read(TaskRecord)} == {1, 2}


# the command line


def test_the_command_line(command: Command, train: Trainer, corpus: Path, suites: Path) -> None:
    runs = [train(tiny(corpus, name)) for name in ("clm", "mlm")]
    tasks = str(suites / "tasks.toml")
    code, out, _ = command("eval", *[run.path for run in runs], "--tasks", tasks)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        *("task", "run", "way", "metric", "value", "std.", "error", "untrained", "chance"),
        *("examples", "also"),
    ]
    assert [line.split()[0] for line in lines[1:5]] == ["last", "last", "order", "order"]
    (record, _) = [each for each in runs[0].results.read(TaskRecord) if each.task == "order"]
    assert f"{record.value:.1%}" in lines[3]
    assert any("order: pll of whole sentences, summed (mlm-s0" in line for line in lines)
    rows = json.loads(command("eval", *[r.path for r in runs], "--tasks", tasks, "-f", "json").out)
    assert len(rows) == 8
    assert {row["task"] for row in rows} == {"order", "last"}


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
    rows = json.loads(command(*place, "--way", "probe", "--way", "10").out)
    ways = [("last", "asked"), ("order", "asked"), ("both", "10"), ("both", "probe")]
    assert {(row["task"], row["way"]) for row in rows} == {*ways}, "what has one way is asked in it"
    place += ["--way", "10", "--way", "probe"]
    (few, *_), _ = (
        sorted(rows, key=lambda row: row["way"])
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
    for row, way in ((forced, "10 last"), (probe, "probe last")):
        assert row["way"] == way, "a question of its own"
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
    code, out, err = command(*place, "--way", "prob")
    assert (code, out) == (1, "")
    assert "no chosen task is asked in the way 'prob' (--way): did you mean 'probe'?" in err
    code, out, err = command("eval", run.path, "--way", "all")
    assert "--way is about benchmarks, which is not asked for: add NAME" in err


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
