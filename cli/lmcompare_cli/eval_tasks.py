"""The benchmarks of `lmcompare eval`: options, and tasks of which none takes another down."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lmcompare_cli.console import fail, warn

if TYPE_CHECKING:
    from lmcompare.evaluation.tasks.base import Examples as Read
    from lmcompare.evaluation.tasks.base import Task
    from lmcompare.evaluation.tasks.measure import TaskOptions
    from lmcompare.evaluation.tasks.record import TaskRecord
    from lmcompare.runs.run import Run
    from lmcompare_cli.rendering.progress import EvaluationDisplay

Examples = Annotated[
    int | None,
    typer.Option(
        help="Benchmarks: how many examples of each are asked about, the same for every run; "
        "--train-examples limits those that are learned from.",
        min=2,
        show_default="all",
    ),
]
TrainExamples = Annotated[
    int | None,
    typer.Option(
        help="Benchmarks that models learn from examples: learn from this many at most, and "
        "choose settings by as many at most.",
        min=2,
        show_default="all",
    ),
]
Pooling = Annotated[
    Literal["mean", "last", "first", "encoder"] | None,
    typer.Option(
        help="Benchmarks that models learn from examples: how the states of a text's tokens "
        "become one, for all models: their mean, the last, the first (the start token or a "
        "word's first piece), or the mean of the encoder's.",
        show_default="the best for each model by validation",
    ),
]
Way = Annotated[
    list[str] | None,
    typer.Option(
        help="Benchmarks that models learn from examples: fine-tune on this many of them (10, "
        "100, all), or train a probe on the frozen model (probe); repeat.",
        show_default="all ways",
    ),
]


@dataclass
class Suites:
    """Tasks that could be read, and whether something failed."""

    read: "Sequence[tuple[Task[Any], Read[Any]]]" = ()
    failed: bool = field(default=False)

    @staticmethod
    def of(
        names: Sequence[str],
        folder: Path,
        *,
        ways: Sequence[str],
        pooling: str | None,
        train_examples: int | None,
    ) -> "Suites":
        """The tasks that are meant, with their examples.

        Raises:
            UserError: an unknown name, an option that is of no use to any of them, or all fail.
        """
        from lmcompare.errors import UserError, did_you_mean
        from lmcompare.evaluation.tasks.registry import choose

        read, faults = [], []
        chosen = choose(names, folder=folder)
        able = dict.fromkeys(way for each in chosen for way in each.task.ways)
        for way in ways:
            if way not in able:
                raise UserError(
                    f"no chosen task is asked in the way '{way}' (--way): "
                    f"{did_you_mean(way, able) if able else 'choose one with --tasks'}"
                )
        if pooling is not None and not any(each.task.pools for each in chosen):
            raise UserError(
                "no chosen task pools states (--pooling): leave it out, or add a task of the kind "
                "classification or tagging with --tasks"
            )
        if train_examples is not None and not any(len(each.task.ways) > 1 for each in chosen):
            raise UserError(
                "no chosen task learns from examples (--train-examples): leave it out, or choose "
                "one with --tasks"
            )
        for each in chosen:
            try:
                read.append((each.task, each.task.read(each.folder)))
            except UserError as error:
                faults.append(error)
        if faults and not read:
            raise faults[0]
        for fault in faults:
            fail(str(fault))
        return Suites(read, failed=bool(faults))

    def ask(
        self, run: "Run", asked: "TaskOptions", *, report: "EvaluationDisplay"
    ) -> "Iterable[tuple[Run, TaskRecord]]":
        """What a run answers, task by task."""
        from lmcompare.errors import UserError
        from lmcompare.evaluation.tasks.measure import measure_task

        for task, examples in self.read:
            report.begin(run.path, task.name)
            try:
                for record in measure_task(run, task, examples, asked, report=report, warn=warn):
                    yield run, record
            except UserError as error:
                fail(f"{run.path.name}, {task.name}: {error}")
                self.failed = True
