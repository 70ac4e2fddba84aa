"""Tell what is kept of a pair of models: a similarity for each pair of their layers."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from lmcompare.evaluation.similarity.options import Measure
from lmcompare.evaluation.states.choices import WordPooling
from lmcompare.runs.records import ResultRecord

# layers of the one model by those of the other; None where a layer does not vary at all
Grid = tuple[tuple[float | None, ...], ...]


class Grids(BaseModel):
    """Tell what one measure says of all pairs of layers.

    Attributes:
        value: the similarity.
        error: its standard error over groups of neighbouring words; None where there is one group.
        null_mean: the mean of the same with the words of a sample exchanged.
        null_high: the 95% quantile of that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Grid
    error: Grid
    null_mean: Grid
    null_high: Grid


class SimilarityRecord(ResultRecord):
    """`eval/similarity-*.json`: how alike the states of two models are, layer by layer.

    It lies with the first of the two by name, and holds who the other was. Once that is trained
    anew, the result is about no model that there is.
    """

    prefix: ClassVar[str] = "similarity"

    task: str = "similarity"
    states_of: str | None = None  # which of two stacks, or the part of a mixture it was read as
    other: str  # the name of the other's folder; the own one within a model
    other_hash: str  # of its `run.json`
    other_arm: str
    other_seed: int
    other_step: int
    other_states_of: str | None = None
    words: WordPooling
    wanted: tuple[int, ...] = ()  # layers that were asked for; () for all
    layers: tuple[int, ...]
    other_layers: tuple[int, ...]
    num_words: int
    num_groups: int
    num_sampled: int  # words behind the null, `neighbours` and `rsa`
    same_tokenizer: bool
    version: int
    grids: Mapping[Measure, Grids]

    @property
    def stem(self) -> str:
        read = "".join(f"-{each}" for each in (self.states_of, self.other_states_of) if each)
        return (
            f"similarity-{self.source}-{self.other}-{self.words}{read}-{self.text[:8]}-"
            f"{self.step}-{self.other_step}"
        )

    @property
    def named_by(self) -> Mapping[str, object]:
        return {"states": self.states_of, "other": self.other, "arm": self.other_arm}

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"words": self.words, "num_words": self.num_words}

    @property
    def question(self) -> tuple[object, ...]:
        return (
            *(self.prefix, self.source, self.words, self.step),
            *(self.states_of, self.other, self.other_states_of, self.other_step),
        )

    @property
    def about(self) -> str:
        return f"similarity with {self.other} of {self.source}"

    @property
    def headline(self) -> tuple[float, str] | None:
        """Return the similarity of the last layers; within a model, of its first and its last."""
        name, grids = next(iter(self.grids.items()))
        value = grids.value[0 if self.is_within else -1][-1]
        return None if value is None else (value, name)

    @property
    def is_within(self) -> bool:
        """Tell whether both are one model, read in one way."""
        return (self.other_hash, self.other_step, self.other_states_of) == (
            *(self.run_hash, self.step, self.states_of),
        )

    def value(self, measure: Measure, layer: int, other: int) -> float | None:
        """Return the similarity of two layers by their numbers."""
        return self.grids[measure].value[self.layers.index(layer)][self.other_layers.index(other)]


class SimilarityItem(BaseModel):
    """A line of `eval/similarity-*.jsonl`: a pair of layers.

    Attributes:
        without: of each measure its value without each group of words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: int
    other_layer: int
    without: Mapping[Measure, tuple[float, ...]]
