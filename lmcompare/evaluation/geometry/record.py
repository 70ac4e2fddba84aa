"""Tell what is kept of the geometry of a model's states."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from lmcompare.evaluation.states.choices import WordPooling
from lmcompare.runs.records import ResultRecord


class LayerGeometry(BaseModel):
    """The figures of a layer, by the names of `metrics`; None where its states do not vary."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: int
    anisotropy: float
    centered_anisotropy: float | None
    effective_rank: float | None
    participation_ratio: float | None
    mean_norm: float


class GeometryRecord(ResultRecord):
    """`eval/geometry-*.json`: how the states of each layer lie in their space."""

    prefix: ClassVar[str] = "geometry"
    of_untrained: ClassVar[bool] = True

    task: str = "geometry"
    states_of: str | None = None  # which of two stacks, or the part of a mixture it was read as
    words: WordPooling
    wanted: tuple[int, ...] = ()  # layers that were asked for; () for all
    width: int  # numbers of a state: no rank is higher
    num_words: int
    num_texts: int
    version: int
    layers: tuple[LayerGeometry, ...]

    @property
    def stem(self) -> str:
        read = f"-{self.states_of}" if self.states_of else ""
        return f"geometry-{self.source}-{self.words}{read}-{self.text[:8]}-step-{self.step}"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {
            "state": "untrained" if self.is_untrained else "trained",
            "states": self.states_of,
        }

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"words": self.words, "num_words": self.num_words}

    @property
    def question(self) -> tuple[object, ...]:
        return self.prefix, self.source, self.words, self.states_of, self.step

    @property
    def headline(self) -> tuple[float, str]:
        return self.layers[-1].anisotropy, "mean cosine"


class GeometryItem(BaseModel):
    """A line of `eval/geometry-*.jsonl`: a layer.

    Attributes:
        spectrum: the share of the variance of each principal axis, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: int
    spectrum: tuple[float, ...]
