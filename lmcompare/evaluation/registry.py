"""The kinds of evaluation. To add one: write its folder, and name its options here."""

from collections.abc import Mapping, Sequence
from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation.attention.options import AttentionOptions
from lmcompare.evaluation.context.options import ContextOptions
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.geometry.options import GeometryOptions
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.lexical.options import LexicalOptions
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.options import EvalOptions, name_of, own_options
from lmcompare.evaluation.probes.options import ProbeOptions
from lmcompare.evaluation.similarity.options import SimilarityOptions
from lmcompare.evaluation.speed.options import SpeedOptions
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.parsing import brief

if TYPE_CHECKING:
    from lmcompare.evaluation.kind import AnyKind

# in the order in which they are measured; each says where its kind is, which is read when needed
OPTIONS: list[type[EvalOptions]] = [
    LikelihoodOptions,
    InfillingOptions,
    GenerationOptions,
    SpeedOptions,
    TaskOptions,
    AttentionOptions,
    ProbeOptions,
    SimilarityOptions,
    GeometryOptions,
    ContextOptions,
    LexicalOptions,
]


def kinds() -> "dict[str, AnyKind]":
    """Return all kinds of evaluation, by how the names of the files of their results begin."""
    return {kind.record.prefix: kind for kind in map(kind_of, OPTIONS)}


@cache
def kind_of(options: type[EvalOptions]) -> "AnyKind":
    """Return the kind of evaluation that has these options."""
    kind: AnyKind = resolve_name(options.kind)()
    return kind


ALL = "all"  # the kinds that need no files of their own


def choose(names: Sequence[str]) -> dict[type[EvalOptions], dict[str, Any]]:
    """Return the kinds that are meant by their options, in their order, and what the names say.

    Args:
        names: of kinds, or `all`; whatever else they are, they are names of tasks.
    """
    known = {options.name for options in OPTIONS if not options.chosen_by}
    found: dict[type[EvalOptions], dict[str, Any]] = {
        options: {}
        for options in OPTIONS
        if options.name in known.intersection(names) or (ALL in names and options.in_all)
    }
    if tasks := tuple(name for name in names if name not in known and name != ALL):
        found[TaskOptions] = {"tasks": tasks}
    return found


def read_options(
    names: Sequence[str],
    given: Mapping[str, Any],
) -> "dict[AnyKind, EvalOptions]":
    """Return the kinds of evaluation that are meant, each with its options.

    Args:
        names: as in `choose`.
        given: the options, by the names that users give them by; of several values a sequence.

    Raises:
        UserError: there is no such option, it is about a kind that is not chosen, or its value
            makes no sense.
    """
    chosen = choose(names)
    shared = {name: value for name, value in given.items() if name in EvalOptions.model_fields}
    own = {name: value for name, value in given.items() if name not in shared}
    known = {name for model in OPTIONS for name in _names(model)}
    for name in own:
        if name not in known:
            meant = did_you_mean(name, [*known, *EvalOptions.model_fields])
            raise UserError(f"there is no option '{name}': {meant}")
    _require_use(chosen, own)
    return {  # what the names say, and what the options do
        kind_of(model): _read(model, {**shared, **named}, own) for model, named in chosen.items()
    }


def _names(model: type[EvalOptions]) -> list[str]:
    return [name_of(name, field) for name, field in own_options(model).items()]


def _require_use(
    chosen: Mapping[type[EvalOptions], object],
    own: Mapping[str, Any],
) -> None:
    useful = {name for model in chosen for name in _names(model)}
    for model in OPTIONS:
        if idle := [f"`{name}=`" for name in _names(model) if name in own and name not in useful]:
            raise UserError(
                f"{', '.join(idle)} is about {model.about}, which is not asked for: add "
                f"{model.chosen_by or model.name} to `*tasks`, or leave it out"
            )


def _read(
    model: type[EvalOptions],
    values: Mapping[str, Any],
    own: Mapping[str, Any],
) -> EvalOptions:
    read = dict(values)
    for name, field in own_options(model).items():
        if (user := name_of(name, field)) in own:
            one = isinstance(field.default, tuple) and not isinstance(own[user], list | tuple)
            read[name] = (own[user],) if one else own[user]
    try:
        return model(**read)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
        message = message[0].lower() + message[1:]
        option = f"`{name_of(name, model.model_fields[name])}=`"
        raise UserError(f"{option} cannot be {brief(first['input'])}: {message}") from None
