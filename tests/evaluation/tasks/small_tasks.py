"""Two tasks of a few examples, and how the tests ask them."""

from pathlib import Path

from lmcompare.evaluation.tasks.measure import measure_task
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.record import TaskRecord
from lmcompare.evaluation.tasks.registry import read_tasks
from lmcompare.runs.run import Run

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


def measure(run: Run, suites: Path, **asked: object) -> list[TaskRecord]:
    task = read_tasks(suites / "tasks.toml")[0]
    return measure_task(run, task, task.read(suites), TaskOptions(device="cpu", **asked))  # type: ignore[arg-type]
