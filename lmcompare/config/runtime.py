"""How a run is carried out on a machine."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

BoardName = Literal["tensorboard", "wandb", "trackio"]
COMPILED_WIDTH = 512  # from which on `auto` compiles


class RuntimeConfig(BaseModel):
    """How a run is carried out on a machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field("auto", description="auto, cpu, cuda, mps")
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto"] | bool = Field(
        "auto",
        description="torch.compile, which takes a minute or two at first: auto does on a GPU, from "
        "the width of `small` on; needs a C++ compiler on a CPU",
    )
    micro_batch: int | None = Field(
        None, gt=0, description="rows of one forward pass; what suits the device by default"
    )
    memory_gb: float | None = Field(
        None,
        gt=0,
        strict=True,
        allow_inf_nan=False,
        description="GB that training may take, by the estimate of `lmcompare check`; what the "
        "machine has by default",
    )
    threads: int | None = Field(
        None, gt=0, le=1024, description="of the CPU; what torch chooses by default"
    )
    save_every: int = Field(500, gt=0, description="steps between checkpoints")
    keep: int = Field(
        2, ge=2, description="checkpoints kept; the one before the last is the fall-back"
    )
    boards: tuple[BoardName, ...] = Field(
        (),
        description="where training is shown too: tensorboard, wandb, trackio, each an extra of "
        "its name; one, or a list",
    )

    @model_validator(mode="before")
    @classmethod
    def _earlier_name(cls, settings: Any) -> Any:
        """Read `tensorboard = true`, which was there before other boards were."""
        if not isinstance(settings, Mapping) or "tensorboard" not in settings:
            return settings
        rest = {key: value for key, value in settings.items() if key != "tensorboard"}
        if not isinstance(settings["tensorboard"], bool):
            raise ValueError('tensorboard is true or false, or rather boards = ["tensorboard"]')
        return {"boards": ("tensorboard",), **rest} if settings["tensorboard"] else rest

    @field_validator("boards", mode="before")
    @classmethod
    def _one_name(cls, boards: Any) -> Any:
        """Read one name as a list of it."""
        return (boards,) if isinstance(boards, str) else boards

    @field_validator("boards")
    @classmethod
    def _each_once(cls, boards: tuple[BoardName, ...]) -> tuple[BoardName, ...]:
        return tuple(dict.fromkeys(boards))

    def compiles(self, device_type: str, width: int) -> bool:
        """Tell whether a model of `width` is compiled on such a device."""
        if self.compile == "auto":
            return device_type == "cuda" and width >= COMPILED_WIDTH
        return self.compile
