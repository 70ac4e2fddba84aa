"""How a likelihood is measured."""

from typing import ClassVar

from pydantic import Field, field_validator

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
        ge=0,
        description="How many bytes of text to score, the same for every run; 0 for all.",
    )
    window: int | None = Field(
        None,
        ge=4,
        description="How many tokens the model sees at once; by default as in training.",
    )
    stride: int | None = Field(
        None,
        ge=1,
        description="Tokens from one window to the next; by default half a window.",
    )
    scorings: tuple[str, ...] = Field(
        (), title="scoring", description="Use only this scoring; repeat for several."
    )

    @field_validator("max_bytes")
    @classmethod
    def _all_for_zero(cls, number: int | None) -> int | None:
        return number or None
