"""What a benchmark leaves in a run directory: one record a result, one line an example."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lmcompare.budget import Spent
from lmcompare.objectives import Likelihood
from lmcompare.records import ResultRecord

Group = Literal["grammar", "likelihood", "understanding", "extraction"]  # what a task measures

UNTRAINED = 0  # the step of a model as it started
# among the settings of what was learned from examples
LEARNING_RATE = "learning rate"  # the one that did best
VALIDATION_AT = "validation at "  # and a rate: how well that did
STATES_OF = "states of"  # the encoder or the decoder, of a model that has both


class TaskRecord(ResultRecord):
    """`eval/task-*.json`: how well a run's model does at a task, or why it does not.

    The value of the task's metric is the sum of all examples' `gained` over that of their
    `possible`: a share of right answers, or an F1 of counts taken over all examples.
    """

    kind: str  # pairs, cloze, ...
    group: Group
    version: int  # of the task: results of unlike versions do not compare
    way: str  # how it was asked, where a task can be asked in several ways
    spent: Spent = Spent()  # on the model's training
    metric: str
    chance: float | None  # what knowing nothing gives
    num_items: int
    protocol: str | None = None  # in words, what this objective was asked to do
    scoring: str | None = None
    likelihood: Likelihood | None = None
    value: float | None = None
    standard_error: float | None = None  # of `value`, examples being the only source of variance
    figures: Mapping[str, float] = {}  # others, by name
    parts: Mapping[str, Mapping[str, tuple[float, int]]] = {}  # by level, part: value, examples
    counts: Mapping[str, int] = {}  # of what was mended, cut or left out, by what it was
    settings: Mapping[str, str | float] = {}  # that were found on validation examples
    alone: int | None = None  # examples that were asked once more, each by itself
    alone_differs: int = 0  # of these, how many were answered in another way then
    reason: str | None = None  # why there is no value

    @property
    def stem(self) -> str:
        at = "untrained" if self.step == UNTRAINED else f"{self.step}"
        return f"task-{self.task}-{self.way}-{self.text[:8]}-{at}"

    @property
    def is_untrained(self) -> bool:
        """Whether it is of the model as it started."""
        return self.step == UNTRAINED

    @property
    def is_learned(self) -> bool:
        """Whether the model learned from examples before it was asked."""
        return LEARNING_RATE in self.settings

    @property
    def rate_at_edge(self) -> Literal["lowest", "highest"] | None:
        """Which end of the learning rates tried did best, so that one beyond may do better."""
        best = self.settings.get(LEARNING_RATE)
        tried = [
            float(name.removeprefix(VALIDATION_AT))
            for name in self.settings
            if name.startswith(VALIDATION_AT)
        ]
        if best is None or len(tried) < 2 or best not in (min(tried), max(tried)):
            return None
        return "highest" if best == max(tried) else "lowest"


class TaskItem(BaseModel):
    """A line of `eval/task-*.jsonl`: one example."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: int
    gained: float
    possible: float = 1.0
    parts: Mapping[str, str] = {}  # by level, the part that it belongs to
    figures: Mapping[str, float] = {}
