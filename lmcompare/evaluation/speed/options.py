"""How writing and reading are timed."""

from typing import ClassVar

from pydantic import Field

from lmcompare.evaluation.options import EvalOptions


class SpeedOptions(EvalOptions):
    """How often it is timed, and over which lengths.

    It is no part of `all`: what else a machine does spoils it, so it is asked for by itself, when
    nothing else runs.
    """

    kind: ClassVar[str] = "lmcompare.evaluation.speed.kind:SpeedKind"
    name: ClassVar[str] = "speed"
    heading: ClassVar[str] = "Speed"
    about: ClassVar[str] = "speed"
    in_all: ClassVar[bool] = False

    prompt_tokens: int = Field(16, ge=1, description="How many tokens a prompt has.")
    new_tokens: int = Field(48, ge=1, description="How many tokens are written after it.")
    rounds: int = Field(
        24,
        ge=1,
        description="How often writing and reading are timed; fewer where that takes long.",
    )
