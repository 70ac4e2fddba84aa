"""How a likelihood is measured."""

from typing import ClassVar

from pydantic import Field

from lmcompare.evaluation.options import EvalOptions


class LikelihoodOptions(EvalOptions):
    """How a likelihood is measured, beside what all kinds share."""

    kind: ClassVar[str] = "lmcompare.evaluation.likelihood.kind:LikelihoodKind"
    name: ClassVar[str] = "likelihood"
    heading: ClassVar[str] = "Likelihood"
    about: ClassVar[str] = "whole texts"

    max_bytes: int | None = Field(
        50_000,
        title="limit",
        description="How many bytes of text to score, the same for every run; 0 for all.",
        json_schema_extra={"min": 0},
    )
    window: int | None = Field(
        None,
        description="How many tokens the model sees at once; by default as in training.",
        json_schema_extra={"min": 4},
    )
    stride: int | None = Field(
        None,
        description="Tokens from one window to the next; by default half a window.",
        json_schema_extra={"min": 1},
    )
    scorings: tuple[str, ...] = Field(
        (), title="scoring", description="Use only this scoring; repeat for several."
    )
