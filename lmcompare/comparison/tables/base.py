"""How the results of a kind of evaluation stand in a comparison: a value with verbs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Generic, TypeVar

import pandas as pd

from lmcompare.blocks import Block
from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.tables.verdicts import Contest
from lmcompare.runs.records import ResultRecord

Shown = TypeVar("Shown")


class ResultTables(ABC, Generic[Shown]):
    """The tables of one kind of results.

    Attributes:
        key: the name under which they stand in a comparison and in its JSON; where no method
            below says otherwise, also that by which `lmcompare eval --tasks` measures them.
        record: the class of the results.
        lacks: what is said of runs of which nothing of the kind was measured, while it was of
            others; empty where nothing is to be said.
    """

    key: ClassVar[str]
    record: ClassVar[type[ResultRecord]]
    lacks: ClassVar[str] = ""

    @abstractmethod
    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[Shown]:
        """Return the tables of some arms.

        Args:
            arms: in their order.
            frame: the tidy frame of their runs.
            reference: the label of the arm that others stand beside; None for the usual one.

        Raises:
            UserError: there is no such arm, or the items behind a result are broken.
        """

    @abstractmethod
    def blocks(self, tables: Sequence[Shown]) -> Iterator[Block]:
        """Yield what is said of them on a page."""

    def footnotes(self, tables: Sequence[Shown]) -> Iterator[str]:
        """Yield how they are to be read, at the end of the page."""
        yield from ()

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[Shown], *, reference: str | None
    ) -> Iterator[str]:
        """Yield what else is to be known of them."""
        yield from ()

    def lacking(self, results: Sequence[Result]) -> Iterator[str]:
        """Yield of which runs nothing of the kind was measured, and how to."""
        runs = self._lacking(results)
        if self.lacks and 0 < len(runs) < len(results):
            yield f"{self.lacks}: {self._command(runs)}"

    def _command(self, runs: Sequence[str]) -> str:
        """Return what to type to measure some runs."""
        return f"`lmcompare eval --tasks {self.key} {' '.join(runs)}`"

    def _lacking(self, results: Sequence[Result]) -> list[str]:
        return [
            str(result.run.path)
            for result in results
            if not result.of(self.record) and not result.is_unselected(self.record)
        ]

    def stale(self, result: Result) -> Iterator[str]:
        """Yield what was measured of a run before its end, and how to measure it again."""
        steps = [each.step for each in result.of(self.record) if result.is_stale(each)]
        if steps:
            yield (
                f"evaluated at step {steps[0]:,} of {result.spent.steps:,} and left out: "
                f"{self._command([str(result.run.path)])}"
            )

    def rows(self, tables: Sequence[Shown], arms: Mapping[str, Arm]) -> Iterator[dict[str, object]]:
        """Yield further rows of the tidy frame, which are of several runs."""
        yield from ()

    def contests(self, tables: Sequence[Shown]) -> Iterator[Contest]:
        """Yield every verdict of them."""
        yield from ()

    def is_ranked(self, tables: Sequence[Shown]) -> bool:
        """Tell whether any arm is called the best."""
        return False

    def as_json(self, table: Shown) -> Any:
        """Return a table for a machine."""
        return asdict(table)  # type: ignore[call-overload]

    def pictures(self, tables: Sequence[Shown]) -> Iterator[tuple[str, bytes]]:
        """Yield the pictures of them, each after what its file's name ends in."""
        yield from ()


AnyTables = ResultTables[Any]
