"""The kinds of evaluation. To add one: write its folder, and name its options here."""

from collections.abc import Sequence
from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.options import EvalOptions
from lmcompare.evaluation.tasks.options import TaskOptions

if TYPE_CHECKING:
    from lmcompare.evaluation.kind import AnyKind

# in the order in which they are measured; each says where its kind is, which is read when needed
OPTIONS: list[type[EvalOptions]] = [
    LikelihoodOptions,
    InfillingOptions,
    GenerationOptions,
    TaskOptions,
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
    known = {options.name for options in OPTIONS}
    found: dict[type[EvalOptions], dict[str, Any]] = {
        options: {}
        for options in OPTIONS
        if options.name in names or (ALL in names and options.in_all)
    }
    if tasks := tuple(name for name in names if name not in known and name != ALL):
        found[TaskOptions] = {"tasks": tasks}
    return found
