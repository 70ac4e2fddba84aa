"""What a task is: examples read from files, and what a model is asked about each.

A task never asks which objective it has before it: it calls what every objective has, and where
that is `Unsupported` the result is a dash with the reason.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lmcompare.evaluation.tasks.options import Pooling
from lmcompare.evaluation.tasks.record import Group, TaskItem, Trial
from lmcompare.runs.loaded_model import LoadedModel

Example = TypeVar("Example")


def with_pooling(protocol: str, pooling: Pooling) -> str:
    """Return a protocol by which all models pool alike, whatever validation would choose."""
    return f"{protocol} {pooling}"


def parts_of_protocol(protocol: str) -> tuple[str, Pooling | None]:
    """Return the protocol of the task, and the pooling for all if there is one."""
    name, _, wanted = protocol.partition(" ")
    return name, next((each for each in get_args(Pooling) if each == wanted), None)


@dataclass(frozen=True, kw_only=True)
class Examples(Generic[Example]):
    """What a task asks about.

    Attributes:
        test: examples whose answers count, each with its number.
        learned: those that a model may learn from, by the name of their split.
        counts: what was mended, cut or left out while they were read, by what it was.
    """

    test: Sequence[Example]
    learned: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A model's answers.

    Attributes:
        description: in words, what the model was asked to do.
        items: one for each example, in any order; made as they are asked for.
        scoring: how likelihoods were taken, where they were.
        settings: that were chosen on validation examples.
        trials: what was tried to choose them.
        counts: what was cut or left out, by what it was; complete once all items are made.
    """

    description: str
    items: Iterator[TaskItem]
    scoring: str | None = None
    settings: Mapping[str, str | float] = field(default_factory=dict)
    trials: Sequence[Trial] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


class Task(BaseModel, ABC, Generic[Example]):
    """A benchmark: a kind of question, and where its examples lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    group: Group
    version: int = Field(1, ge=1, description="results of unlike versions do not compare")
    paper: str = Field("", description="where it comes from")
    metric: ClassVar[str] = "accuracy"
    protocol_version: ClassVar[int] = 1  # of unlike ones results do not compare
    pools: ClassVar[bool] = False  # states are pooled before a head reads them
    about: ClassVar[str]  # the kind, in words

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return the protocols by which it can be asked; each gives a result."""
        return ("asked",)

    @property
    @abstractmethod
    def source(self) -> str:
        """Return its files, in words."""

    @abstractmethod
    def read(self, folder: Path) -> Examples[Example]:
        """Return the examples.

        Raises:
            UserError: a file is missing or broken, in one line.
        """

    @abstractmethod
    def chance(self, examples: Examples[Example]) -> float | None:
        """Return the metric of who knows nothing; None where that cannot be said."""

    @abstractmethod
    def evaluate(
        self,
        model: LoadedModel,
        examples: Examples[Example],
        *,
        protocol: str,
        done: frozenset[int],
        report: Callable[[float], None],
    ) -> Predictions:
        """Ask a model about all examples that are not `done`.

        Args:
            model: the model.
            examples: all of them.
            protocol: one of `protocols`, or one with a pooling (`with_pooling`).
            done: numbers of examples.
            report: told the share of learning that is done, 0 to 1.

        Raises:
            Unsupported: its objective cannot be asked this, with the reason.
        """

    def figures(self, items: Sequence[TaskItem]) -> Mapping[str, float]:
        """Return further metrics of all examples together, by name."""
        return {}

    def kind_of(self, example: Example) -> str:
        """Return what a draw of examples to learn from has by its share, as a label."""
        return ""


class LearnedTask(Task[Example], Generic[Example]):
    """One whose models learn from examples in files of their own."""

    protocol_version: ClassVar[int] = 2

    train: tuple[str, ...] = Field(min_length=1, description="patterns, of files to learn from")
    validation: tuple[str, ...] = Field((), description="the same; else every tenth to train on")
    test: tuple[str, ...] = Field((), description="the same; else by `test_every`")
    test_every: int | None = Field(
        None, ge=2, description="every n-th is for the test, where there are no files of it"
    )

    @model_validator(mode="after")
    def _agrees(self) -> "LearnedTask[Example]":
        if bool(self.test) == bool(self.test_every):
            raise ValueError("give either test, files, or test_every")
        return self

    @property
    def source(self) -> str:
        return ", ".join(dict.fromkeys([*self.train, *self.validation, *self.test]))
