"""What a kind of evaluation is: a value with verbs, as an objective is.

A kind has a record for its results, options, steps that measure, and the metrics that its results
give. `registry` lists the kinds; nothing else in `evaluation` or on the command line names one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from lmcompare.blocks import Block
from lmcompare.errors import UserError
from lmcompare.evaluation.metric import Measurement
from lmcompare.evaluation.options import EvalOptions
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.results import Results
from lmcompare.runs.run import Run

Kept = TypeVar("Kept", bound=ResultRecord)
Options = TypeVar("Options", bound=EvalOptions)
Report = Callable[[str, float], None]  # told a part of a step, and the share of it that is done


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where prepared texts lie, and who is told what.

    Attributes:
        cache: the folder of prepared corpora.
        warn: told what a user should know, such as a damaged checkpoint that was passed over.
        fail: told of a part that cannot be measured while the others go on.
    """

    cache: Path
    warn: Callable[[str], None]
    fail: Callable[[UserError], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to measure of each run.

    Attributes:
        name: what is measured, for whoever watches.
        measure: measures a run and keeps the results; what was measured before is not again.
        alone: whether what goes wrong in it stops no other step.
        finish: called after the last run, however that went, to remove what the runs shared.
    """

    name: str
    measure: Callable[[Run, Report], Sequence[ResultRecord]]
    alone: bool = False
    finish: Callable[[], None] = lambda: None


class EvaluationKind(ABC, Generic[Kept, Options]):
    """A kind of evaluation.

    Attributes:
        record: the class of its results, whose `prefix` begins the names of their files.
        options: the class of its options, which have its name.
        ranked: whether arms are ranked by its results, so that a ranking hangs on its facts.
    """

    record: ClassVar[type[ResultRecord]]
    options: ClassVar[type[EvalOptions]]
    ranked: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Return the name that it is chosen by."""
        return self.options.name

    @abstractmethod
    def steps(self, runs: Sequence[Run], options: Options, context: Context) -> Sequence[Step]:
        """Return what there is to measure of these runs.

        Raises:
            UserError: options that make no sense, or fit none of the runs; nothing is measured yet.
        """

    @abstractmethod
    def measurements(self, run: Run, record: Kept) -> Iterator[Measurement]:
        """Yield what a result says, a row of the tidy frame each.

        Raises:
            UserError: the items behind it are missing or broken.
        """

    @abstractmethod
    def page(self, results: Sequence[tuple[Run, Kept]]) -> Sequence[Block]:
        """Return results of some runs as they stand below each other when they were measured."""

    def cautions(self, results: Sequence[tuple[Run, Kept]]) -> Iterator[str]:
        """Yield what must be known before the rows of that page are compared."""
        yield from ()

    def facts(self, records: Sequence[Kept]) -> Mapping[str, str | None]:
        """Return what must be equal between runs for these results to compare, by name, in words.

        Args:
            records: the results of one run; what is not known of them is None.
        """
        return {}


AnyKind = EvaluationKind[Any, Any]


def not_measured_again(
    results: Results,
    kind: type[Kept],
    facts: Mapping[str, Any],
    *,
    again: bool,
    warn: Callable[[str], None],
) -> list[Kept]:
    """Return the results that were measured before of the same text and model.

    Args:
        results: those of a model.
        kind: the class of their records.
        facts: fields of the record and what they must be.
        again: whether all is to be measured again; then there are none.
        warn: told of damaged results.
    """
    if again:
        return []
    known = results.read(kind, warn)
    return [each for each in known if each.model_dump(include={*facts}) == facts]


def texts_of(records: Sequence[ResultRecord]) -> str | None:
    """Return which texts some results are about, in words; None where there are none."""
    return " and ".join(sorted({f"{each.source} {each.text[:8]}" for each in records})) or None
