"""Which tasks there are, and how a user names them."""

import json
from pathlib import Path

import pytest

from lmcompare.errors import UserError
from lmcompare.evaluation.tasks.measure import _blank, measure_task
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord
from lmcompare.evaluation.tasks.registry import choose, known, read_tasks
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run


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
        ("[", "is not valid TOML"),
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
    model = load_model(run, device="cpu", warn=pytest.fail)
    now = _blank(model, task, examples, "probe")
    assert now.version == task.version + 1
    before = now.model_copy(update={"version": 1, "value": 0.125, "description": "older"})
    run.results.write(before, [])
    run.results.keep_items(before, [TaskItem(item=0, score=0.25)])
    (record,) = measure_task(
        run, task, examples, TaskOptions(device="cpu", untrained=False, protocols=("probe",))
    )
    assert record.value != before.value
    assert {each.score for each in run.results.items(record, TaskItem)} <= {0.0, 1.0}
    assert {each.version for each in run.results.read(TaskRecord)} == {1, 2}
