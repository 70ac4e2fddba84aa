"""Write docs/settings.md from the configuration itself: python docs/make_settings.py."""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from lmcompare.config.budget import Budget
from lmcompare.config.run import RunConfig
from lmcompare.model import PRESETS, ModelConfig
from lmcompare.objectives import OBJECTIVES
from lmcompare.training.objective_table import brief

HEAD = """# Settings

Every setting of a run by its dotted key: `-s key=value` on the command line, a table in a study.
Made by `python docs/make_settings.py`; a test holds it to the code.

| key | default | values | what |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    objectives = [row for kind in OBJECTIVES.values() for row in rows(kind, "objective.")]
    return HEAD + "\n".join([*rows(RunConfig), *objectives, "", *sizes()]) + "\n"


def sizes() -> Iterator[str]:
    """The named sizes with their real numbers of parameters."""
    yield "## Sizes\n"
    yield "Parameters with 4,096 and with 32,768 ids; `lmcompare check` counts yours.\n"
    yield "| `model` | layers | width | heads | ffn | 4,096 ids | 32,768 ids |"
    yield "|---|---|---|---|---|---|---|"
    for preset in PRESETS:
        model = ModelConfig.model_validate(preset)
        shape = f"{model.layers} | {model.width:,} | {model.heads} | {model.ffn:,}"
        counts = " | ".join(f"{model.num_parameters(size):,}" for size in (4096, 32_768))
        yield f"| `{preset}` | {shape} | {counts} |"


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """A row of the table for each field, those of inner tables included."""
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Budget:
            yield from rows(kind, f"{prefix}{name}.")
            continue
        if name == "objective":  # its settings follow, a table for each
            continue
        if name == "name" and prefix == "objective.":
            yield f"| **`{prefix}name`** | `{field.default}` | | **{model.__doc__}** |"
            continue
        usual = field.get_default(call_default_factory=True)
        default = "" if field.is_required() else f"`{shown(usual)}`"
        yield f"| `{prefix}{name}` | {default} | {values(kind)} | {field.description or ''} |"


def shown(value: Any) -> str:
    """A default as one would write it."""
    if isinstance(value, bool | None):
        return {None: "none", True: "true", False: "false"}[value]
    if value == ():
        return "none"
    models = isinstance(value, tuple) and isinstance(value[0], BaseModel)
    return brief(value) if models else str(value)


def values(kind: Any) -> str:
    """What a field may hold, in words."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(values(each) for each in get_args(kind) if each is not NoneType)
    if isinstance(kind, type) and issubclass(kind, Budget):
        return "amount and unit"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return ""
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return names.get(kind, "list")


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(page(), encoding="utf-8")
