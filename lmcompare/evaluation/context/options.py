"""Tell how many tokens are asked for, and how far their context is changed."""

from typing import ClassVar

from pydantic import Field

from lmcompare.evaluation.options import EvalOptions


class ContextOptions(EvalOptions):
    """Tell how many tokens are asked for, and how far from them their context is changed.

    It is not a part of `all`: it asks for every token some thirty times.
    """

    kind: ClassVar[str] = "lmcompare.evaluation.context.kind:ContextKind"
    name: ClassVar[str] = "context"
    heading: ClassVar[str] = "Context"
    about: ClassVar[str] = "context use"
    in_all: ClassVar[bool] = False

    num_tokens: int = Field(
        2_000,
        ge=1,
        title="asked_tokens",
        description="How many tokens are asked for with and without each side; fewer where the "
        "text has not as many.",
    )
    num_curve_tokens: int = Field(
        500,
        ge=1,
        title="curve_tokens",
        description="How many of them are also asked for with a side cut at each distance, and "
        "how many gradients are taken.",
    )
    num_changed_tokens: int = Field(
        125,
        ge=1,
        title="changed_tokens",
        description="How many of them are also asked for with a side shuffled, and replaced, "
        "beyond each distance.",
    )
    reach: int = Field(
        32,
        ge=1,
        description="How many tokens of context each side has, at most half of a row of training.",
    )
