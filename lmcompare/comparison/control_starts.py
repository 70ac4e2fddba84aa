"""Say what runs that started from other models' weights had behind them."""

from lmcompare.comparison.arms import Result
from lmcompare.comparison.wording import amounts


def trained_before(result: Result) -> str:
    """Return by what its weights had been trained before, in words."""
    start = result.record.start
    if start is None:
        return "no"
    lacked = f", rows for {len(start.added)} tokens added" if start.added else ""
    return f"by {start.trained_by}, {amounts(start.spent)}{lacked}"


def tokens_in_all(result: Result) -> object:
    """Return what is to be equal, as targets and FLOPs follow from objectives.

    What is not known is equal to nothing.
    """
    spent = result.in_all(result.spent)
    return object() if spent is None else spent.tokens


def spent_in_all(result: Result) -> str:
    """Return what was spent on its weights in all, in words."""
    return amounts(result.in_all(result.spent))
