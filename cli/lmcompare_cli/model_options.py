"""Options of a command that are made of the fields of pydantic models."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Optional, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Command = TypeVar("Command", bound=Callable[..., None])


def with_options_of(
    models: Sequence[type[BaseModel]], *, but: type[BaseModel]
) -> Callable[[Command], Command]:
    """Give a command an option for each field of some models, below the ones that it has.

    The command receives those that were given as the keyword arguments beside its own.

    Args:
        models: each with a `heading` for its options.
        but: fields that this model has are left out, as the command has options for them.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        made = [*_parameters(models, but=but)]
        command.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *made]
        )
        command.__annotations__ = {
            **{each.name: each.annotation for each in own},
            **{each.name: each.annotation for each in made},
        }
        return command

    return decorate


def name_of(name: str, field: FieldInfo) -> str:
    """Return the name that a user gives a field by."""
    return (field.title or name).replace("-", "_")


def flag_of(name: str, field: FieldInfo) -> str:
    """Return the option that sets a field."""
    return f"--{name_of(name, field).replace('_', '-')}"


def fields_of(model: type[BaseModel], *, but: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model that are options."""
    return {
        name: field
        for name, field in model.model_fields.items()
        if name not in but.model_fields and _extra(field).get("option", True)
    }


def _parameters(
    models: Sequence[type[BaseModel]], *, but: type[BaseModel]
) -> Iterator[inspect.Parameter]:
    seen = set[str]()
    for model in models:
        for name, field in fields_of(model, but=but).items():
            called = name_of(name, field)
            if called not in seen:
                seen.add(called)
                yield inspect.Parameter(
                    called,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None,
                    annotation=_annotation(model, name, field),
                )


def _annotation(model: type[BaseModel], name: str, field: FieldInfo) -> Any:
    """Return what Typer makes the option of; not given, it is None, whatever its default is."""
    extra, kind = _extra(field), _type(field)
    flag = flag_of(name, field)
    if kind is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}" if field.default else flag
    option = typer.Option(
        flag,
        help=field.description,
        show_default=_default(field),
        metavar=extra.get("metavar"),
        min=extra.get("min"),
        rich_help_panel=str(getattr(model, "heading", "")) or None,
        readable=False,
    )
    return Annotated[Optional[kind], option]  # noqa: UP045 (a kind may be a value, not a name)


def _type(field: FieldInfo) -> Any:
    """Return the type of an option for a field: of several values a list, of unknown ones text."""
    kinds = [field.annotation]
    if get_origin(field.annotation) in (Union, UnionType):
        kinds = [each for each in get_args(field.annotation) if each is not type(None)]
    kind = kinds[0]
    if get_origin(kind) is tuple:
        return list[_plain(get_args(kind)[0])]  # type: ignore[misc]
    return _plain(kind)


def _plain(kind: Any) -> Any:
    return kind if kind in (int, float, bool, str, Path) or get_origin(kind) is Literal else str


def _default(field: FieldInfo) -> str | bool:
    words = _extra(field).get("default")
    if words is not None:
        return str(words)
    if field.default is None or field.default == () or isinstance(field.default, bool):
        return False
    several = field.default if isinstance(field.default, tuple) else (field.default,)
    return ", ".join(map(str, several))


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
