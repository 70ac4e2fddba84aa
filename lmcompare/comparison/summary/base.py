"""Define a row of the summary: an aspect, with figures of each arm, or why there are none.

An aspect is a value with verbs. To add one, write it into a file of this folder and name it in
`ASPECTS` (`lmcompare/comparison/summary/__init__.py`); those of one name stand under one heading.
"""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.summary.cells import ELSEWHERE, Cell, SummaryRow
from lmcompare.comparison.summary.curves import CommonCurves
from lmcompare.comparison.tables.verdicts import Contest
from lmcompare.evaluation.metric import Metric
from lmcompare.runs.curves import Axis
from lmcompare.runs.records import ResultRecord
from lmcompare.stats.intervals import mean_interval

MOST_NAMED = 6  # runs that a command names one by one; of more it names their studies


@dataclass(frozen=True, kw_only=True)
class Material:
    """Hold what aspects are made of.

    Attributes:
        arms: in their order.
        tables: of the comparison, by the keys of `lmcompare.comparison.tables`.
        contests: every verdict of these tables.
        at: what is to be equal where the common question is told; None for each in turn.
        quality: that is to be reached, nats a token; None for the worst end.
    """

    arms: Sequence[Arm]
    tables: Mapping[str, Sequence[Any]]
    contests: Sequence[Contest] = ()
    at: Axis | None = None
    quality: float | None = None

    @cached_property
    def curves(self) -> CommonCurves:
        """Return what was logged of the common question."""
        return CommonCurves(results=self.results, wanted=self.quality)

    @cached_property
    def results(self) -> list[Result]:
        """Return all runs."""
        return [result for arm in self.arms for result in arm.results]

    def command(self, written: str, results: Sequence[Result]) -> str:
        """Return a command about some of the runs, written with `RUNS` in their place."""
        return written.replace("RUNS", runs_in_words(results, self._studies))

    @cached_property
    def _studies(self) -> dict[Path, list[Path]]:
        """Return all runs, by the folders of their studies."""
        studies: dict[Path, list[Path]] = {}
        for each in self.results:
            studies.setdefault(each.run.path.parent, []).append(each.run.path)
        return studies

    def over_seeds(
        self, metric: Metric, value: Callable[[Result], float | None], *, why: str = ""
    ) -> dict[str, Cell]:
        """Return of each arm the mean over those of its seeds that have a value, or why not."""
        cells = {}
        for arm in self.arms:
            found = [each for each in map(value, arm.results) if each is not None]
            reason = ELSEWHERE if arm.elsewhere else why
            cells[arm.label] = Cell.of(metric, mean_interval(found)) if found else Cell(why=reason)
        return cells


class Aspect(ABC):
    """One thing that a reader wants to know of an objective.

    Attributes:
        name: as it is asked for.
        about: the same in a short sentence of plain words.
        record: the class of the results that it is made of; None where it is of no evaluation.
        measure: the command that measures these, `RUNS` standing for runs or studies.
        in_words: whether its cells are sentences, which stand below each other, an arm a line.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    record: ClassVar[type[ResultRecord] | None] = None
    measure: ClassVar[str] = ""
    in_words: ClassVar[bool] = False

    def words(self, given: Material) -> str:
        """Return what it is in plain words, where that hangs on what is compared."""
        return self.about

    @abstractmethod
    def rows(self, given: Material) -> Sequence[SummaryRow]:
        """Return its figures."""

    def files(self, result: Result) -> Iterator[Path]:
        """Yield the files of a run that it is made of."""
        for record in self.records(result):
            yield result.run.results.file_of(record)

    def records(self, result: Result) -> list[ResultRecord]:
        """Return the results of a run that it is made of."""
        if self.record is None:
            return []
        return [each for each in result.of(self.record) if not result.is_stale(each)]

    def not_measured(self, given: Material) -> str:
        """Return which command measures it of the runs of which it was not."""
        lacking = [each for each in given.results if not self.records(each)]
        unselected = self.record is not None and any(
            each.is_unselected(self.record) for each in lacking
        )
        if unselected:
            return "measured, and not selected"
        return f"not measured: `{given.command(self.measure, lacking)}`"

    def nothing(self, given: Material) -> list[SummaryRow]:
        """Return one row that says of all arms that nothing was measured, and what does."""
        why = self.not_measured(given)
        return [
            SummaryRow(
                heading="not measured",
                metric=None,
                cells={arm.label: Cell(why=why) for arm in given.arms},
            )
        ]


def runs_in_words(results: Sequence[Result], studies: Mapping[Path, Sequence[Path]]) -> str:
    """Return runs as a command names them: by their studies where these are all of one, or many.

    Args:
        results: the runs that are meant.
        studies: all that there are, by the folders of their studies.
    """
    meant = {each.run.path for each in results}
    paths: list[Path] = []
    for study, runs in studies.items():
        own = [run for run in runs if run in meant]
        whole = len(own) > 1 and len(own) == len(runs)
        paths += [study] if whole or len(own) > MOST_NAMED else own
    return " ".join(shlex.quote(str(path)) for path in paths)
