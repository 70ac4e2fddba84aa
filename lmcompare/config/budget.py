"""How long a run trains, in whichever unit, and what it has spent in all of them."""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lmcompare.errors import UserError, did_you_mean

Unit = Literal["steps", "tokens", "targets", "flops", "seconds"]

_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "p": 1e15}


class Spent(BaseModel):
    """What a run has cost so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 0
    tokens: int = 0  # text read, repeats counted again
    targets: int = 0  # positions at which something was predicted
    flops: int = 0  # of matrix products, forward and backward
    seconds: float = 0.0  # of training, validation and saving left out

    def later(self, seconds: float) -> "Spent":
        """Return the same, so many seconds later."""
        return self.model_copy(update={"seconds": self.seconds + seconds})

    def plus(self, other: "Spent") -> "Spent":
        """Return the sum of both."""
        return Spent(**{name: each + getattr(other, name) for name, each in self})

    def less(self, other: "Spent") -> "Spent":
        """Return the difference to what was spent earlier."""
        return Spent(**{name: each - getattr(other, name) for name, each in self})


class Budget(BaseModel):
    """An amount of one unit; written as `"2M tokens"`, `"1.5e15 flops"`, `"60 seconds"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: float = Field(gt=0, le=1e24, allow_inf_nan=False)
    unit: Unit

    def progress(self, spent: Spent) -> float:
        """Share of the budget that is spent, from 0; 1 or more when the run is over."""
        return float(getattr(spent, self.unit)) / self.amount

    def __str__(self) -> str:
        for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if self.amount >= factor and self.unit != "seconds":
                return f"{self.amount / factor:g}{prefix} {self.unit}"
        return f"{self.amount:g} {self.unit}"


def parse_budget(written: Any) -> Any:
    """Read a budget written as text; anything else is left to the validation of `Budget`.

    Raises:
        UserError: not an amount and a unit.
    """
    if isinstance(written, int | float):
        written = str(written)
    if not isinstance(written, str):
        return written
    match = re.fullmatch(r"\s*([\d._]+(?:e[+-]?\d+)?)([kmgbtp]?)\s+([a-z]+)\s*", written.lower())
    if match is None:
        raise UserError(
            f"'{written}' is not a budget: write an amount and a unit, such as \"2M tokens\", "
            '"500 steps" or "60 seconds"'
        )
    number, prefix, unit = match.groups()
    known = {name: name for name in get_args(Unit)}
    known |= {name.removesuffix("s"): name for name in known if name != "flops"} | {"s": "seconds"}
    if unit not in known:
        raise UserError(f"a budget has no unit '{unit}': {did_you_mean(unit, get_args(Unit))}")
    try:
        return {"amount": float(number) * _PREFIXES[prefix], "unit": known[unit]}
    except ValueError:
        raise UserError(f"'{number}' in the budget '{written}' is not a number") from None


AnyBudget = Annotated[Budget, BeforeValidator(parse_budget)]
