"""Options of a command that are made of the fields of the options of evaluations."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Optional, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from lmcompare.evaluation.options import EvalOptions, extra_of, name_of, own_options
from lmcompare_cli import completion
from lmcompare_cli.flags import as_options, flag

Command = TypeVar("Command", bound=Callable[..., None])


def with_options_of(
    models: Sequence[type[EvalOptions]],
) -> Callable[[Command], Command]:
    """Give a command an option for each field of some models, below the ones that it has.

    The command receives those that were given as the keyword arguments beside its own.

    Args:
        models: each with a `heading` for its options; what all of them share is left out, as the
            command has options for that.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        made = [*_parameters(models)]
        command.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *made]
        )
        command.__annotations__ = {
            **{each.name: each.annotation for each in own},
            **{each.name: each.annotation for each in made},
        }
        return command

    return decorate


def _parameters(
    models: Sequence[type[EvalOptions]],
) -> Iterator[inspect.Parameter]:
    seen = set[str]()
    for model in models:
        for name, field in own_options(model).items():
            called = name_of(name, field)
            if called not in seen:
                seen.add(called)
                yield inspect.Parameter(
                    called,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=None,
                    annotation=_annotation(model, name, field),
                )


def _annotation(model: type[EvalOptions], name: str, field: FieldInfo) -> Any:
    """Return what Typer makes the option of; not given, it is None, whatever its default is."""
    extra, kind = extra_of(field), _type(field)
    option = flag(name_of(name, field))
    if kind is bool and field.default:
        option = f"{option}/--no-{option.removeprefix('--')}"
    made = typer.Option(
        option,
        help=as_options(field.description or ""),
        show_default=_default(field),
        metavar=extra.get("metavar"),
        min=next((each.ge for each in field.metadata if hasattr(each, "ge")), None),
        rich_help_panel=model.heading or None,
        readable=False,
        autocompletion=completion.OF_FIELDS.get((model.name, name)),
    )
    return Annotated[Optional[kind], made]  # noqa: UP045 (a kind may be a value, not a name)


def _type(field: FieldInfo) -> Any:
    """Return the type of an option for a field: of several values a list, of unknown ones text.

    Values that may have commas between them are text, which the field's model takes apart.
    """
    if extra_of(field).get("commas"):
        return list[str]
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
    words = extra_of(field).get("default")
    if words is not None:
        return str(words)
    if field.default is None or field.default == () or isinstance(field.default, bool):
        return False
    several = field.default if isinstance(field.default, tuple) else (field.default,)
    return ", ".join(map(str, several))
