"""What all boards share: what they are told of a run, and what they do with a line of its log."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from lmcompare.blocks.visible import visible
from lmcompare.errors import UserError
from lmcompare.files import name_of
from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class About:
    """What a board is told of a run, in characters that no page obeys."""

    folder: Path
    id: str  # of this run and no other, the same in all its sessions
    study: str
    arm: str
    seed: int
    tags: tuple[str, ...]
    comment: str
    config: Mapping[str, Any]  # in full, as JSON has it
    step: int  # that the run stands at

    @classmethod
    def of(cls, run: Run, *, step: int) -> Self:
        """Read what there is to tell of a run.

        Raises:
            UserError: its records are broken.
        """
        record, notes = run.record(), run.notes()
        return cls(
            folder=run.path,
            id=f"{run.path.name}-{run.hash[:8]}",
            study=name_of(run.study),
            arm=visible(record.arm, keep=""),
            seed=record.config.seed,
            tags=notes.tags,
            comment=visible(notes.comment),
            config=record.config.model_dump(mode="json"),
            step=step,
        )

    @property
    def told(self) -> dict[str, Any]:
        """Return all that has no place of its own on a board, as JSON has it."""
        names = {"study": self.study, "arm": self.arm, "seed": self.seed}
        return {**self.config, **names, "tags": [*self.tags], "comment": self.comment}


class Board(ABC):
    """A place where the log of one run is shown."""

    name: ClassVar[str]
    remedy: ClassVar[str] = "leave it out of runtime.boards"  # where it cannot be begun

    @classmethod
    @abstractmethod
    def require(cls) -> None:
        """Make sure that the board can be written to, as far as is known without a run.

        Raises:
            UserError: its package is not installed, or there is no login.
            Exception: of its package.
        """

    @abstractmethod
    def __init__(self, about: About) -> None:
        """Begin a run's board, or continue it.

        Raises:
            Exception: of its package.
        """

    @abstractmethod
    def write(self, line: MetricsLine) -> None:
        """Show a line; raise what its package raises where that fails."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left; raise what its package raises where that fails."""


def missing(package: str) -> UserError:
    """Return what to say where the package of a board is not installed."""
    return UserError(
        f"the board {package} needs the package {package}, which is not installed: "
        f"pip install 'lmcompare[{package}]', or leave it out of runtime.boards"
    )


def values_of(line: MetricsLine) -> dict[str, float]:
    """Return the numbers of a line by name, but for its step; a list has one for each place."""
    found: dict[str, float] = {}
    for name, value in line.model_dump(exclude={"step"}, exclude_none=True).items():
        if isinstance(value, list):
            found |= {f"{name}/{place}": float(each) for place, each in enumerate(value)}
        else:
            found[name] = float(value)  # an integer of more than 64 bits is nothing to a board
    return found
