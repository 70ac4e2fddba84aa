"""Versions of the defaults: what a setting was that was left out when an earlier version ran.

A default is changed by raising `VERSION` and saying beside the new one what it was until then:

    warmup: Annotated[float, Until(1, 0.05)] = 0.1

A new setting whose default leaves all as it was needs nothing. One that changes what is trained
says `Until` of the value that leaves it. So what was written by an earlier version, and lacks a
setting, still means what it meant, and `differing`, by which runs are known, never changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

VERSION = 2  # of the defaults of now
FIRST = 1

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Until:
    """The default of a setting up to a version of the defaults, the later ones being others."""

    version: int
    default: Any


def default_of(field: FieldInfo, version: int) -> Any:
    """Return what a setting is by default in a version; `PydanticUndefined` if it has no default.

    Args:
        field: the setting.
        version: of the defaults.
    """
    earlier = [each for each in field.metadata if isinstance(each, Until)]
    valid = [each for each in earlier if version <= each.version]
    if valid:
        return min(valid, key=lambda each: each.version).default
    return field.get_default(call_default_factory=True)


def completed(value: Any, version: int) -> Any:
    """Return a configuration in which all that was left out has the defaults of a version.

    What was given, the `model_fields_set`, stays as it is, and stays all that was given.
    """
    if isinstance(value, list | tuple):
        return type(value)(completed(each, version) for each in value)
    if not isinstance(value, BaseModel):
        return value
    changed: dict[str, Any] = {}
    for name, field in type(value).model_fields.items():
        known = getattr(value, name)
        default = PydanticUndefined
        if name not in value.model_fields_set:
            default = default_of(field, version)
        meant = completed(known if default is PydanticUndefined else default, version)
        if meant != known:
            changed[name] = meant
    return filled(value, **changed)


def filled(model: Model, /, **settings: Any) -> Model:
    """Return a configuration with settings that were left out, which do not count as given."""
    if not settings:
        return model
    values = {name: getattr(model, name) for name in type(model).model_fields}
    return model.model_construct(_fields_set={*model.model_fields_set}, **values | settings)


def given(value: Any) -> Any:
    """Return what was given of a configuration, as JSON has it: neither defaults nor what is made.

    Validated again, it is the same configuration.
    """
    if isinstance(value, list | tuple):
        return [given(each) for each in value]
    if not isinstance(value, BaseModel):
        return to_jsonable_python(value)
    return {
        name: given(getattr(value, name))
        for name, field in type(value).model_fields.items()
        if name in value.model_fields_set or _is_tag(field)
    }


def differing(value: Any) -> Any:
    """Return, as JSON has it, what of a configuration differs from the first defaults.

    Where a setting was added later, its first default is the value that leaves all as it was.
    """
    if isinstance(value, list | tuple):
        return [differing(each) for each in value]
    if isinstance(value, Mapping):
        return {key: differing(each) for key, each in value.items()}
    if not isinstance(value, BaseModel):
        return to_jsonable_python(value)
    found = {}
    for name, field in type(value).model_fields.items():
        settings, default = differing(getattr(value, name)), default_of(field, FIRST)
        usual = default is not PydanticUndefined and settings == differing(
            completed(default, FIRST)
        )
        if _is_tag(field) or not usual:
            found[name] = settings
    return found


def _is_tag(field: FieldInfo) -> bool:
    """Tell whether a field can have one value alone, and so says what it is a field of."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
