"""What is kept of a probing task: a record for each model and task, a line for each sentence."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from lmcompare.config.budget import Spent
from lmcompare.evaluation.probes.options import Probe
from lmcompare.evaluation.states.choices import WordPooling
from lmcompare.runs.records import ResultRecord

Group = Literal["token", "features", "edge", "structure", "identity", "sentence"]


class LayerResult(BaseModel):
    """What a probe of one layer reaches; of several seeds the mean.

    Attributes:
        layer: its number; 0 is the embedding.
        validation: the score by which the L2 strength and the best layer are chosen.
        value: the score on the test sentences.
        l2: the strength that was chosen; None where none is.
        control: the score of the control task on the test sentences; None where there is none.
        unseen: the score on test examples whose word type no training example has.
        codelength: of the training labels by an online code, in bits; None without one.
        control_codelength: the same of the labels of the control task.
        figures: other scores, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: int
    validation: float
    value: float
    l2: float | None = None
    control: float | None = None
    unseen: float | None = None
    codelength: float | None = None
    control_codelength: float | None = None
    figures: Mapping[str, float] = {}

    @property
    def selectivity(self) -> float | None:
        """Return the score above that of the control task (Hewitt & Liang 2019)."""
        return None if self.control is None else self.value - self.control


class ProbeRecord(ResultRecord):
    """`eval/probe-*.json`: what the states of a model's layers tell of one thing."""

    prefix: ClassVar[str] = "probe"
    of_untrained: ClassVar[bool] = True

    spent: Spent  # what the training of the model took
    group: Group
    asks: str  # in words
    metric: str  # accuracy, UUAS, ...
    probe: Probe
    words: WordPooling
    states_of: str | None = None  # which of two stacks, or the part of a mixture it was read as
    version: int  # of the questions
    wanted: tuple[int, ...] = ()  # layers that were asked for; () for all
    seeds: tuple[int, ...] = (0,)
    split: str  # how the treebank was split, in words
    classes: tuple[str, ...] = ()  # in order of their frequency in training
    num_train: int  # examples: words, pairs of words, sentences
    num_items: int  # test sentences
    num_examples: int  # in these
    # what needs no model: the most frequent class, the most frequent class of the word's type, or
    # what else is had from positions alone, by name; on the test sentences
    baselines: Mapping[str, float] = {}
    uniform_codelength: float | None = None  # bits of the training labels if all were as likely
    layers: tuple[LayerResult, ...]
    confusion: tuple[tuple[int, ...], ...] = ()  # true by predicted, at the best layer
    counts: Mapping[str, int] = {}  # what was left out, and what else is to be known

    @property
    def stem(self) -> str:
        read = f"-{self.states_of}" if self.states_of else ""
        return (
            f"probe-{self.source}-{self.task}-{self.probe}-{self.words}{read}-{self.text[:8]}-"
            f"step-{self.step}"
        )

    @property
    def named_by(self) -> Mapping[str, object]:
        return {
            "task": self.task,
            "group": self.group,
            "state": "untrained" if self.is_untrained else "trained",
        }

    @property
    def conditions(self) -> Mapping[str, object]:
        return {
            "probe": self.probe,
            "words": self.words,
            "states": self.states_of,
            "examples": self.num_examples,
        }

    @property
    def question(self) -> tuple[object, ...]:
        return (
            self.prefix,
            self.task,
            self.source,
            self.probe,
            self.words,
            self.states_of,
            self.step,
        )

    @property
    def headline(self) -> tuple[float, str]:
        return self.best.value, self.metric

    @property
    def best(self) -> LayerResult:
        """Return the layer that does best on the validation sentences; of equals the lowest."""
        return max(self.layers, key=lambda each: (each.validation, -each.layer))

    @property
    def center_of_gravity(self) -> float | None:
        """Return where in the layers it is learned (after Tenney et al. 2019, section 3.2).

        The mean of the layers, each weighted by how much better its validation score is than the
        best of those below it; None where no layer is better than the first one.
        """
        return center_of_gravity(self.layers)

    @property
    def compression(self) -> float | None:
        """Return the uniform codelength over that of the best layer (Voita & Titov 2020)."""
        codelength = self.best.codelength
        if codelength is None or self.uniform_codelength is None:
            return None
        return self.uniform_codelength / codelength


def center_of_gravity(layers: Sequence[LayerResult]) -> float | None:
    """Return the expected layer at which something is resolved; None where no layer gains."""
    found = sorted(layers, key=lambda each: each.layer)
    best = np.maximum.accumulate([each.validation for each in found])
    gains = np.diff(best)
    if not len(gains) or gains.sum() <= 0:
        return None
    return float((gains * [each.layer for each in found[1:]]).sum() / gains.sum())


class ProbeItem(BaseModel):
    """Hold a line of `eval/probe-*.jsonl`: one test sentence, each list being layer by layer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sentence: int
    # until schema 4 these two and `unseen_max_score` had other names
    max_score: float = Field(validation_alias=AliasChoices("max_score", "possible"))
    # of several seeds the mean
    score: tuple[float, ...] = Field(validation_alias=AliasChoices("score", "gained"))
    control: tuple[float, ...] = ()
    baselines: Mapping[str, float] = {}  # what each gained, by name
    unseen_max_score: float = Field(
        0.0, validation_alias=AliasChoices("unseen_max_score", "unseen_possible")
    )
    unseen: tuple[float, ...] = ()
