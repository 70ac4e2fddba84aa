"""How a record of an earlier schema becomes one of the next: for each step, a function on its JSON.

They change what was read and never what is on the disk. What a record was written without is said
here, so that no reader has to guess it. What is malformed is left for the validation to refuse.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from lmcompare.defaults import FIRST
from lmcompare.errors import UserError
from lmcompare.model import ModelConfig

Content = dict[str, Any]
Migrations = Mapping[int, Callable[[Content], Content]]  # by the schema that each begins with


def unhashed(*hashes: str) -> Callable[[Content], Content]:
    """Return the step from schema 1, whose records had no hashes of the files beside them.

    Args:
        hashes: the fields that schema 2 has for them.
    """
    return lambda content: dict.fromkeys(hashes) | content


def renamed(**names: str) -> Callable[[Content], Content]:
    """Return the step to a schema in which some fields have other names.

    Args:
        names: the former name of each, by the name that it has then.
    """
    former = {old: new for new, old in names.items()}
    return lambda content: {former.get(name, name): value for name, value in content.items()}


def without_given(content: Content) -> Content:
    """Take `run.json` from schema 2, which kept the configuration as it was resolved alone.

    All of it stands for what was given, but for an encoder that is the one which an objective
    brings: that was told by nothing else. The defaults are the first ones.
    """
    config = content.get("config")
    if not isinstance(config, dict):
        return content
    given = dict(config)
    try:
        model = ModelConfig.model_validate(config.get("model"))
    except (ValidationError, UserError):
        return content
    alone = model.without_encoder()
    if model.encoder_layers and alone.with_encoder() == model:
        given["model"] = alone.model_dump(mode="json")
    return content | {"given": given, "config": config | {"defaults": FIRST}}
