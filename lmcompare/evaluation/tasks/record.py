"""What a benchmark leaves in a run directory: one record a result, one line an example."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from lmcompare.config.budget import Spent
from lmcompare.evaluation.tasks.options import Pooling
from lmcompare.objectives import Likelihood, all_scorings
from lmcompare.runs.migrations import Migrations, renamed
from lmcompare.runs.records import ResultRecord

Group = Literal["grammar", "likelihood", "understanding", "extraction"]  # what a task measures

# among the settings of what was learned from examples
POOLING = "pooling"  # the one that did best; so with the two below
LEARNING_RATE = "learning rate"  # of fine-tuning
L2 = "L2 strength"  # of a frozen probe
MOST = "steps at most"  # after which fine-tuning ends, whether or not it still improves
STATES_OF = "states of"  # the encoder or the decoder, of a model that has both

# among the figures: what the frozen probe reaches on the same examples
FROZEN_PROBE = "frozen probe"


class Trial(BaseModel):
    """Settings that were tried, and how well they did on the validation examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pooling: Pooling | None = None  # None where there is nothing to pool
    learning_rate: float | None = None  # of fine-tuning
    l2: float | None = None  # of a frozen probe
    validation: float  # the task's metric; what is chosen by
    loss: float  # in nats; decides between equals
    steps: int  # after which it did best; iterations of a probe
    chosen: bool = False
    cut_off: bool = False  # it was chosen, and still improved when the most steps were done


class TaskRecord(ResultRecord):
    """`eval/task-*.json`: how well a run's model does at a task, or why it does not.

    The value of the task's metric is the sum of all examples' `score` over that of their
    `max_score`: a share of right answers, or an F1 of counts taken over all examples.
    """

    prefix: ClassVar[str] = "task"
    of_untrained: ClassVar[bool] = True
    migrations: ClassVar[Migrations] = {
        **ResultRecord.migrations,
        3: renamed(protocol="way", description="protocol"),
    }

    kind: str  # pairs, cloze, ...
    group: Group
    version: int  # of the task: results of unlike versions do not compare
    protocol: str  # how it was asked, where a task can be asked by several
    spent: Spent = Spent()  # on the model's training
    metric: str
    chance: float | None  # what knowing nothing gives
    num_items: int
    description: str | None = None  # in words, what this objective was asked to do
    scoring: str | None = None
    likelihood: Likelihood | None = None
    value: float | None = None
    standard_error: float | None = None  # of `value`, examples being the only source of variance
    figures: Mapping[str, float] = {}  # others, by name
    parts: Mapping[str, Mapping[str, tuple[float, int]]] = {}  # by level, part: value, examples
    counts: Mapping[str, int] = {}  # of what was mended, cut or left out, by what it was
    settings: Mapping[str, str | float] = {}  # that were found on validation examples
    trials: tuple[Trial, ...] = ()  # all that was tried to find them, in that order
    alone: int | None = None  # examples that were asked once more, each by itself
    alone_differs: int = 0  # of these, how many were answered in another way then
    reason: str | None = None  # why there is no value

    @property
    def stem(self) -> str:
        at = "untrained" if self.is_untrained else f"{self.step}"
        version = "" if self.version == 1 else f"-v{self.version}"
        return f"task-{self.task}-{self.protocol}-{self.text[:8]}{version}-{at}"

    @property
    def evaluation(self) -> str:
        return "benchmark"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {
            "kind": self.kind,
            "state": "untrained" if self.is_untrained else "trained",
            "task": self.task,
            "group": self.group,
            "protocol": self.protocol,
            "scoring": self.scoring,
            "likelihood": self.likelihood,
        }

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"examples": self.num_items, "version": self.version}

    @property
    def question(self) -> tuple[object, ...]:
        return self.prefix, self.task, self.source, self.protocol, self.step

    @property
    def about(self) -> str:
        return self.task

    @property
    def headline(self) -> tuple[float, str] | None:
        return None if self.value is None else (self.value, self.metric)

    @property
    def is_outdated(self) -> bool:
        return self.scoring is not None and self.scoring not in all_scorings()

    @property
    def is_learned(self) -> bool:
        """Tell whether the model learned from examples before it was asked."""
        return LEARNING_RATE in self.settings or L2 in self.settings

    @property
    def pooling(self) -> Pooling | None:
        """Return the pooling that was chosen; None where nothing was pooled."""
        return None if self._best is None else self._best.pooling

    @property
    def poolings(self) -> dict[Pooling, float]:
        """Return the best validation score of each pooling that was tried."""
        found: dict[Pooling, float] = {}
        for each in self.trials:
            if each.pooling is not None:
                found[each.pooling] = max(each.validation, found.get(each.pooling, 0.0))
        return found

    @property
    def at_edge(self) -> Literal["lowest", "highest"] | None:
        """Return the end of the rates or strengths tried that did best: one beyond may do better.

        All were tried that may be then, as the search goes on while its last value is the best.
        """
        best = self._best
        if best is None:
            return None
        tried = [_strength(each) for each in self.trials if each.pooling == best.pooling]
        value = _strength(best)
        if len(tried) < 2 or value not in (min(tried), max(tried)):
            return None
        return "highest" if value == max(tried) else "lowest"

    @property
    def cut_off(self) -> bool:
        """Tell whether the chosen model still improved when the most steps were done."""
        return self._best is not None and self._best.cut_off

    @property
    def below_probe(self) -> bool:
        """Tell whether the fine-tuned model does worse than the frozen probe of the same model."""
        probe = self.figures.get(FROZEN_PROBE)
        return probe is not None and self.value is not None and self.value < probe

    @property
    def remarks(self) -> list[str]:
        """Return what is to be known of how it learned, a short sentence each."""
        found = []
        if len(self.poolings) > 1:
            scores = ", ".join(f"{name} {value:.1%}" for name, value in self.poolings.items())
            found.append(f"pooling {self.pooling}, chosen by validation: {scores}")
        if self.at_edge:
            what = "learning rate" if LEARNING_RATE in self.settings else "L2 strength"
            found.append(f"best at the {self.at_edge} {what} that may be tried")
        if self.cut_off:
            found.append(f"still improving after {self.settings[MOST]:,.0f} steps, the most")
        if self.below_probe:
            found.append("fine-tuned below its own frozen probe")
        return found

    @property
    def _best(self) -> Trial | None:
        return next((each for each in self.trials if each.chosen), None)


def _strength(trial: Trial) -> float:
    """Return its learning rate, or its L2 strength."""
    value = trial.l2 if trial.learning_rate is None else trial.learning_rate
    assert value is not None
    return value


class TaskItem(BaseModel):
    """Hold a line of `eval/task-*.jsonl`: one example."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: int
    # until schema 4 these two had other names
    score: float = Field(validation_alias=AliasChoices("score", "gained"))
    max_score: float = Field(1.0, validation_alias=AliasChoices("max_score", "possible"))
    parts: Mapping[str, str] = {}  # by level, the part that it belongs to
    figures: Mapping[str, float] = {}
