"""What does a pre-training objective buy? One backbone, text and budget for all objectives.

    import lmcompare

    runs = lmcompare.train(objective="mlm", data="text.txt", seeds=[0, 1, 2])
    runs.evaluate("likelihood")
    runs.compare()

Nothing that takes long is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lmcompare.errors import UserError

if TYPE_CHECKING:
    from lmcompare.api import Runs, compare, evaluate, load, train
    from lmcompare.comparison import Comparison, EvaluationResults

__all__ = [
    "Comparison",
    "EvaluationResults",
    "Runs",
    "UserError",
    "compare",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("lmcompare.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
