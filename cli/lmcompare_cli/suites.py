"""The benchmarks of `lmcompare eval`: each read once; one that fails takes no other down."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmcompare_cli.console import talk

if TYPE_CHECKING:
    from lmcompare.runs import Run
    from lmcompare.task_records import TaskRecord
    from lmcompare.tasks.measuring import Asked
    from lmcompare.tasks.task import Examples, Task


@dataclass
class Suites:
    """Tasks that could be read, and whether something failed."""

    read: "Sequence[tuple[Task[Any], Examples[Any]]]" = ()
    failed: bool = field(default=False)

    @staticmethod
    def of(names: Sequence[str], folder: Path, *, ways: Sequence[str]) -> "Suites":
        """The tasks that are meant, with their examples.

        Raises:
            UserError: an unknown name, a way in which none of them is asked, or all of them fail.
        """
        from lmcompare.errors import UserError, did_you_mean
        from lmcompare.tasks.registry import choose

        read, faults = [], []
        chosen = choose(names, folder=folder)
        able = dict.fromkeys(way for each in chosen for way in each.task.ways)
        for way in ways:
            if way not in able:
                raise UserError(
                    f"no chosen task is asked in the way '{way}' (--way): "
                    f"{did_you_mean(way, able) if able else 'choose one with --tasks'}"
                )
        for each in chosen:
            try:
                read.append((each.task, each.task.read(each.folder)))
            except UserError as error:
                faults.append(error)
        if faults and not read:
            raise faults[0]
        for fault in faults:
            _say(f"error: {fault}")
        return Suites(read, failed=bool(faults))

    def ask(
        self, run: "Run", asked: "Asked", *, report: Callable[[str, float], None]
    ) -> "Iterable[tuple[Run, TaskRecord]]":
        """What a run answers, task by task."""
        from lmcompare.errors import UserError
        from lmcompare.tasks.measuring import measure_task

        for task, examples in self.read:
            try:
                for record in measure_task(run, task, examples, asked, report=report, warn=_warn):
                    yield run, record
            except UserError as error:
                _say(f"error: {run.path.name}, {task.name}: {error}")
                self.failed = True


def _say(text: str) -> None:
    talk.print(text, style="red", soft_wrap=True)


def _warn(text: str) -> None:
    talk.print(f"warning: {text}", style="yellow", soft_wrap=True)
