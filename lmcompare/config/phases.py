"""Phases: objectives that train one model one after another, each for a share of the budget.

A run without them is one phase, all of it. The text, its order and the optimizer go on over the
borders; what changes there is the objective.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lmcompare.errors import UserError
from lmcompare.objectives import AnyObjective, Objective
from lmcompare.parsing import brief

_DIGITS = 9  # of a share that count, so that 0.1 + 0.2 is 0.3


def parse_share(written: Any) -> Any:
    """Read a share of the budget, "60%"; numbers are left to the validation.

    Raises:
        UserError: text that is no percentage.
    """
    if not isinstance(written, str):
        return written
    number, percent, rest = written.strip().partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        percent = ""
    if not percent or rest.strip():
        raise UserError(
            f"'{written}' is no share of the budget: write the budget of a phase as a share of the "
            'whole, such as "60%"'
        )
    return share


class PhaseConfig(BaseModel):
    """A phase as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: AnyObjective
    budget: Annotated[float, BeforeValidator(parse_share)] | None = Field(
        None, gt=0, le=1, description="share of the budget; of the last phase the rest"
    )


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase of a run.

    Attributes:
        number: counted from 1.
        objective: what trains the model in it.
        start: the share of the budget that is spent when it begins, 0 to 1.
        stop: the share that is spent when it ends.
    """

    number: int
    objective: Objective
    start: float
    stop: float

    @property
    def share(self) -> float:
        """Return its share of the budget."""
        return round(self.stop - self.start, _DIGITS)

    def progress(self, spent: float) -> float:
        """Return which share of the phase is over, 0 to 1.

        Args:
            spent: the share of the run's budget that is spent.
        """
        return min(max((spent - self.start) / (self.stop - self.start), 0.0), 1.0)

    def __str__(self) -> str:
        return f"{self.objective.name} {100 * self.share:g}%"


def complete(phases: tuple[PhaseConfig, ...]) -> tuple[PhaseConfig, ...]:
    """Return phases of which the last has the rest of the budget, whether it said so or not.

    Raises:
        ValueError: they are more than the budget, or less, or one that is not the last has none.
    """
    if not phases:
        return phases
    for number, phase in enumerate(phases[:-1], start=1):
        if phase.budget is None:
            raise ValueError(
                f"phase {number} of {len(phases)} has no budget, and only the last may have none: "
                'write its share of the whole, such as budget = "60%"'
            )
    *others, last = phases
    total = _sum([each.budget or 0.0 for each in phases])
    if total > 1 or (total == 1 and last.budget is None):
        raise ValueError(
            f"the phases take {100 * total:g}% of the budget"
            + (" and leave nothing to the last" if last.budget is None else "")
            + ": lower a share, so that they are 100% together"
        )
    if last.budget is not None and total < 1:
        raise ValueError(
            f"the phases take {100 * total:g}% of the budget: raise a share, or leave out that of "
            "the last, which then takes the rest"
        )
    if len({each.objective.encodes for each in phases}) > 1:
        names = " and ".join(dict.fromkeys(each.objective.name for each in phases))
        raise ValueError(
            f"{names} do not train one backbone, as not all of them read a source with an encoder: "
            "choose objectives that all do, or none"
        )
    return (*others, PhaseConfig(objective=last.objective))


def phases_of(written: Sequence[PhaseConfig], objective: Objective) -> tuple[Phase, ...]:
    """Return the phases of a run: those that are written, or all of it as one.

    Args:
        written: as `complete` returns them.
        objective: of a run without phases.
    """
    if not written:
        return (Phase(number=1, objective=objective, start=0.0, stop=1.0),)
    shares = [each.budget for each in written[:-1] if each.budget is not None]
    ends = [0.0, *(_sum(shares[:number]) for number in range(1, len(written))), 1.0]
    return tuple(
        Phase(number=number, objective=each.objective, start=ends[number - 1], stop=ends[number])
        for number, each in enumerate(written, start=1)
    )


def in_words(phases: Sequence[Phase]) -> str:
    """Return the phases in their order, `clm 60%, mlm 40%`."""
    return ", ".join(map(str, phases))


def parse_phases(written: Sequence[str | Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tables of phases, some of which may be words: `clm:60%`, then `mlm`.

    Args:
        written: each a table, or an objective and its share; the last may have no share.

    Raises:
        UserError: they are no list.
    """
    if not isinstance(written, list | tuple):
        raise UserError(f"phases are a list, not {brief(written)}: write ['clm:60%', 'mlm']")
    tables = list[Mapping[str, Any]]()
    for each in written:
        if isinstance(each, str):
            name, colon, share = each.partition(":")
            each = {"objective": name.strip(), **({"budget": share} if colon else {})}
        tables.append(each)
    return tables


def _sum(shares: Sequence[float]) -> float:
    return round(sum(shares), _DIGITS)
