"""Tell of which words the geometry is measured."""

from typing import ClassVar

from pydantic import Field

from lmcompare.evaluation.states.options import WordsOptions


class GeometryOptions(WordsOptions):
    """Tell of which words, and whether of the model as it started, too."""

    kind: ClassVar[str] = "lmcompare.evaluation.geometry.kind:GeometryKind"
    name: ClassVar[str] = "geometry"
    heading: ClassVar[str] = "Geometry"
    about: ClassVar[str] = "the geometry of states"
    in_all: ClassVar[bool] = False

    untrained: bool = Field(True, description="Measure each model as it was before training, too.")
