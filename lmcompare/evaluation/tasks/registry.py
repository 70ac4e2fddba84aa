"""All tasks that there are: those that ship with lmcompare, and those of a user's own files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation import registry
from lmcompare.evaluation.tasks.classification import Classification
from lmcompare.evaluation.tasks.cloze import Cloze
from lmcompare.evaluation.tasks.extractive_qa import SpanAnswers
from lmcompare.evaluation.tasks.minimal_pairs import Pairs
from lmcompare.evaluation.tasks.multiple_choice import Choice
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.record import Group
from lmcompare.evaluation.tasks.tagging import Tagging
from lmcompare.parsing import parse_toml, read_toml
from lmcompare.paths import user_path

AnyTask = Annotated[
    Pairs | Cloze | Choice | Classification | Tagging | SpanAnswers, Field(discriminator="kind")
]
GROUPS: tuple[Group, ...] = get_args(Group)

_adapter: TypeAdapter[AnyTask] = TypeAdapter(AnyTask)


@dataclass(frozen=True)
class Chosen:
    """A task, and the folder that its files lie in."""

    task: AnyTask
    folder: Path


@cache
def known() -> Mapping[str, AnyTask]:
    """Return the tasks that ship with lmcompare, by name."""
    folder = files("lmcompare.evaluation.tasks") / "benchmarks"
    return {
        file.name.removesuffix(".toml"): _task(
            file.name.removesuffix(".toml"),
            parse_toml(file.read_text("utf-8"), where=file.name),
            file.name,
        )
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
    }


def choose(names: Sequence[str], *, folder: Path) -> list[Chosen]:
    """Return the tasks that are meant, each once.

    Args:
        names: of tasks, of groups, or files that hold tasks.
        folder: where the files of the tasks lie that ship with lmcompare.

    Raises:
        UserError: an unknown name, or a file that is broken.
    """
    found: dict[str, Chosen] = {}
    for name in names:
        if name.lower().endswith(".toml"):
            path = user_path(name)
            chosen = [Chosen(task, path.parent) for task in read_tasks(path)]
        else:
            chosen = [Chosen(task, folder) for task in _named(name)]
        for each in chosen:
            other = found.setdefault(each.task.name, each)
            if other != each:
                raise UserError(f"two tasks are called '{each.task.name}': rename one of them")
    return list(found.values())


def read_tasks(path: Path) -> list[AnyTask]:
    """Return the tasks of a file, one in each table.

    Raises:
        UserError: it cannot be read, or holds none, or one that is no task.
    """
    tables = read_toml(path, what="the task file")
    if not tables or not all(isinstance(table, Mapping) for table in tables.values()):
        raise UserError(
            f"{path} holds no tasks: write a table [name] for each, with its kind, group and files"
        )
    return [_task(name, table, str(path)) for name, table in tables.items()]


def _named(name: str) -> list[AnyTask]:
    if name in GROUPS:
        return [task for task in known().values() if task.group == name]
    if name in known():
        return [known()[name]]
    others = [options.name for options in registry.OPTIONS if options is not TaskOptions]
    names = dict.fromkeys([*known(), *GROUPS, *others])
    raise UserError(f"there is no task '{name}': {did_you_mean(name, names)}")


def _task(name: str, table: Mapping[str, Any], where: str) -> AnyTask:
    if not name or any(not (c.isalnum() or c in "-_.") for c in name):
        raise UserError(f"{where}: '{name}' is no name for a task: use letters, digits, - _ and .")
    try:
        return _adapter.validate_python({"name": name, **table})
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(each) for each in first["loc"][1:])
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}, task {name}: {f'{at}: ' if at else ''}{message}") from None
