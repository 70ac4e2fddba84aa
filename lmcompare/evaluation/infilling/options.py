"""How hidden tokens are asked for."""

from typing import ClassVar

from pydantic import Field

from lmcompare.evaluation.options import TextsOptions


class InfillingOptions(TextsOptions):
    """How hidden tokens are asked for, beside what all kinds share."""

    kind: ClassVar[str] = "lmcompare.evaluation.infilling.kind:InfillingKind"
    name: ClassVar[str] = "infilling"
    heading: ClassVar[str] = "Infilling"
    about: ClassVar[str] = "hidden tokens"

    length: int = Field(
        32, description="How many tokens a text with hidden ones has, beside the start token."
    )
    protocols: tuple[str, ...] = Field(
        (),
        title="protocol",
        description="How several hidden tokens are asked for, the same for every run: in-order, "
        "one after another; at-once; surest-first; random-orders, a bound; repeat.",
        json_schema_extra={"default": "in-order, and what else a run can do"},
    )
