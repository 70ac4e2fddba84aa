"""What is to be written, and in which ways."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from lmcompare.evaluation.options import TextsOptions
from lmcompare.runs.places import find_place

if TYPE_CHECKING:
    from lmcompare.objectives.decoding.sampler import Sampler
else:
    Sampler = Any


class GenerationOptions(TextsOptions):
    """What is to be written, and in which ways: in each of them with each of the settings.

    Methods that an objective does not have are left out for its runs, and so are settings that a
    method does not obey.
    """

    kind: ClassVar[str] = "lmcompare.evaluation.generation.kind:GenerationKind"
    name: ClassVar[str] = "generation"
    heading: ClassVar[str] = "Generation"
    about: ClassVar[str] = "what is written"

    judge: Path | None = Field(
        None,
        description="A run, not one of those evaluated, whose model says how probable it finds "
        "what they write.",
        json_schema_extra={"metavar": "RUN"},
    )
    prompt_tokens: int = Field(16, description="How many tokens a prompt has.")
    new_tokens: int = Field(48, description="How many tokens are written after it.")
    methods: tuple[str, ...] = Field(
        (),
        title="method",
        description="A method of writing, used by each run that has it; repeat.",
        json_schema_extra={"default": "the usual one"},
    )
    temperatures: tuple[float, ...] = Field(
        (1.0,), title="temperature", description="The temperature of sampling; repeat."
    )
    steps: tuple[int, ...] = Field(
        (), description="Forward passes or rounds, for methods that have them; repeat."
    )
    top_p: float | None = Field(
        None,
        description="Sample from the fewest tokens that together have this probability.",
    )
    decodings: tuple[Sampler, ...] = Field(
        (),
        title="decoding",
        description="Further settings of sampling, used by each run that knows them: greedy, "
        "beams=4, top_k=40,temperature=0.7, degeneration_penalty=0.6, ...; repeat.",
        json_schema_extra={"metavar": "SETTINGS"},
    )

    @field_validator("judge")
    @classmethod
    def _found(cls, judge: Path | None) -> Path | None:
        return judge and find_place(judge)

    @field_validator("decodings", mode="before")
    @classmethod
    def _read(cls, decodings: tuple[Any, ...]) -> tuple[Any, ...]:
        """Read what was written as `beams=4`, and leave what is a sampler."""
        from lmcompare.objectives.decoding.sampler import read_sampler

        return tuple(read_sampler(each) if isinstance(each, str) else each for each in decodings)
