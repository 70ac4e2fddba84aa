"""What every evaluation is told: of which text, on which device, and whether once more.

The options of each kind are pydantic models, from which the command line makes its own. They are
read wherever help is shown, and so import nothing that takes long.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from lmcompare.data import DataConfig
else:
    DataConfig = Any

Held = Literal["train", "validation", "test"]


class EvalOptions(BaseModel):
    """The options that all kinds of evaluation share; each kind adds its own.

    A field's description says what it does; its title is the name that a user gives it by where
    that is another, and `json_schema_extra` may say its default in words, what stands for its
    value (`metavar`), and that it is no option (`option`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str] = ""  # the class of the kind, as `module:Class`
    name: ClassVar[str] = ""  # as it is chosen by
    heading: ClassVar[str] = ""  # of its options
    about: ClassVar[str] = ""  # what they are about, in a few words
    chosen_by: ClassVar[str] = ""  # how it is chosen, where not by its name
    command: ClassVar[str] = ""  # that asks for it, where it has one of its own
    in_all: ClassVar[bool] = True  # whether `all` means it too
    text_option: ClassVar[str] = ""  # that names its text, where a run has none of its own for it

    split: Held = Field("validation", description="Which split of each run's own text.")
    data: DataConfig | None = Field(None, description="Another text.")
    device: str = Field("auto", description="auto, cpu, cuda or mps.")
    batch_size: int | None = Field(
        None, ge=1, description="Rows of a forward pass; as many as suits the device by default."
    )
    again: bool = Field(False, description="Measure again what was measured before.")

    @property
    def source(self) -> str:
        """Return what the text is called."""
        return self.split if self.data is None else ",".join(self.data.names)


class TextsOptions(EvalOptions):
    """The options of those kinds that ask about some texts."""

    num_texts: int = Field(
        64,
        title="texts",
        description="How many texts have hidden tokens, or how many prompts are continued; fewer "
        "where there are not as many.",
    )


def at_commas(given: Any) -> Any:
    """Take several values in one text, too."""
    if isinstance(given, tuple | list) and all(isinstance(each, str) for each in given):
        return tuple(part.strip() for each in given for part in each.split(",") if part.strip())
    return given


def name_of(name: str, field: FieldInfo) -> str:
    """Return the name that a user gives a field by."""
    return field.title or name


def own_options(model: type[EvalOptions]) -> dict[str, FieldInfo]:
    """Return the fields of a kind's options beside those that all kinds share."""
    return {
        name: field
        for name, field in model.model_fields.items()
        if name not in EvalOptions.model_fields and extra_of(field).get("option", True)
    }


def extra_of(field: FieldInfo) -> Mapping[str, Any]:
    """Return what a field says of itself as an option."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
