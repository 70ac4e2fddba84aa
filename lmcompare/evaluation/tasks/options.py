"""How benchmarks are asked."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from lmcompare.evaluation.options import EvalOptions

# how the states of some tokens become one: a mean of all, that of the last or the first token, or
# the mean of an encoder's states, where otherwise a decoder's are read
Pooling = Literal["mean", "last", "first", "encoder"]


class TaskOptions(EvalOptions):
    """How benchmarks are asked, beside what all kinds share; of a text of their own."""

    kind: ClassVar[str] = "lmcompare.evaluation.tasks.kind:TaskKind"
    name: ClassVar[str] = "benchmark"
    heading: ClassVar[str] = "Benchmarks"
    about: ClassVar[str] = "benchmarks"
    chosen_by: ClassVar[str] = "NAME, one that `lmcompare tasks` lists,"
    in_all: ClassVar[bool] = False

    tasks: tuple[str, ...] = Field(
        (),
        description="Names of tasks, of groups of them, or TOML files that hold tasks.",
        json_schema_extra={"option": False},
    )
    folder: Path = Field(
        Path("benchmarks"),
        title="task_data",
        description="The folder that holds the files that `lmcompare tasks` lists.",
        json_schema_extra={"metavar": "FOLDER"},
    )
    limit: int | None = Field(
        None,
        title="examples",
        ge=2,
        description="How many examples of each are asked about, the same for every run; "
        "`train_examples=` limits those that are learned from.",
        json_schema_extra={"default": "all"},
    )
    train_limit: int | None = Field(
        None,
        title="train_examples",
        ge=2,
        description="Of tasks that models learn from examples: learn from this many at most, and "
        "choose settings by as many at most.",
        json_schema_extra={"default": "all"},
    )
    pooling: Pooling | None = Field(
        None,
        description="Of tasks that models learn from examples: how the states of a text's tokens "
        "become one, for all models: their mean, the last, the first (the start token or a word's "
        "first piece), or the mean of the encoder's.",
        json_schema_extra={"default": "the best for each model by validation"},
    )
    protocols: tuple[str, ...] = Field(
        (),
        title="task_protocol",
        description="Of tasks that models learn from examples: fine-tune on this many of them "
        "(10, 100, all), or train a probe on the frozen model (probe); repeat.",
        json_schema_extra={"default": "all protocols"},
    )
    untrained: bool = Field(True, description="Ask each model as it was before training, too.")
    every_checkpoint: bool = Field(
        False,
        description="Ask the models of all checkpoints that were kept (runtime.keep=1000 "
        "in training), not only the last one.",
    )
