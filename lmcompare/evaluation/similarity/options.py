"""Tell what is compared of the states of two models."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from lmcompare.evaluation.states.options import WordsOptions

Measure = Literal["cka", "svcca", "procrustes", "neighbours", "rsa"]
MEASURES: tuple[Measure, ...] = ("cka", "svcca", "procrustes", "neighbours", "rsa")


class SimilarityOptions(WordsOptions):
    """Tell how the states of the layers of models are compared, pair by pair."""

    kind: ClassVar[str] = "lmcompare.evaluation.similarity.kind:SimilarityKind"
    name: ClassVar[str] = "similarity"
    heading: ClassVar[str] = "Similarity"
    about: ClassVar[str] = "similarity of states"
    command: ClassVar[str] = "similarity"
    in_all: ClassVar[bool] = False

    measures: tuple[Measure, ...] = Field(
        MEASURES,
        min_length=1,
        description="Which similarities, with commas between them: cka alone is by far the "
        "fastest.",
        json_schema_extra={"metavar": "NAMES", "default": ", ".join(MEASURES), "commas": True},
    )

    @field_validator("measures", mode="before")
    @classmethod
    def _split(cls, given: Any) -> Any:
        """Take several names in one text, too, in the order in which they are listed."""
        if isinstance(given, tuple | list) and all(isinstance(each, str) for each in given):
            found = {part.strip() for each in given for part in each.split(",") if part.strip()}
            known = [name for name in MEASURES if name in found]
            return (*known, *sorted(found.difference(MEASURES)))
        return given
