"""The results of an evaluation as a value: a sequence, a frame, and a page of a notebook."""

from collections.abc import Sequence
from typing import overload

import pandas as pd

from lmcompare.blocks import Block, Notes, markdown
from lmcompare.comparison.frame import of_results
from lmcompare.errors import UserError
from lmcompare.evaluation.kind import AnyKind
from lmcompare.evaluation.registry import kinds
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.run import Run


class EvaluationResults(Sequence[tuple[Run, ResultRecord]]):
    """A sequence of what an evaluation found: results with their runs, in the order of measuring.

    Attributes:
        errors: what could not be measured, where it stopped nothing else.
    """

    def __init__(
        self, results: Sequence[tuple[Run, ResultRecord]], errors: Sequence[UserError] = ()
    ) -> None:
        self._results, self.errors = tuple(results), tuple(errors)

    @overload
    def __getitem__(self, index: int) -> tuple[Run, ResultRecord]: ...
    @overload
    def __getitem__(self, index: slice) -> "EvaluationResults": ...
    def __getitem__(self, index: int | slice) -> "tuple[Run, ResultRecord] | EvaluationResults":
        if isinstance(index, slice):
            return EvaluationResults(self._results[index], self.errors)
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        about = (f"{run.path.name}: {record.about}" for run, record in self)
        return f"EvaluationResults({', '.join(about)})"

    @property
    def records(self) -> list[ResultRecord]:
        """Return the results without their runs."""
        return [record for _, record in self]

    def frame(self) -> pd.DataFrame:
        """Return the results, a row for each run and metric, with the columns of `Runs.frame`.

        Raises:
            UserError: the items behind a result are missing or broken.
        """
        return of_results(self)

    def __str__(self) -> str:
        found: dict[AnyKind, list[tuple[Run, ResultRecord]]] = {}
        for run, record in self:
            found.setdefault(kinds()[record.prefix], []).append((run, record))
        blocks: list[Block] = []
        for kind, results in found.items():
            blocks += [*kind.page(results), Notes([*kind.cautions(results)])]
        return markdown.render(blocks)

    def _repr_markdown_(self) -> str:
        """Return how a notebook shows it."""
        return str(self)
