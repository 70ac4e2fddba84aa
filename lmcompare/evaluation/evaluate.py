"""Evaluating runs: all that is asked, of one run after another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.kind import AnyKind, Context, Report, Step
from lmcompare.evaluation.options import EvalOptions
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is to be measured of some runs, all of which can be."""

    runs: Sequence[Run]
    steps: Sequence[tuple[AnyKind, Step]]
    context: Context

    @staticmethod
    def of(
        runs: Sequence[Run], options: Mapping[AnyKind, EvalOptions], context: Context
    ) -> "Evaluation":
        """Return it, after everything is looked at that can be before anything is measured.

        Args:
            runs: at least one.
            options: the kinds of evaluation that are meant, each with its options.
            context: who is told what.

        Raises:
            UserError: options that make no sense, or fit none of the runs.
        """
        steps = [
            (kind, step) for kind, own in options.items() for step in kind.steps(runs, own, context)
        ]
        return Evaluation(runs=runs, steps=steps, context=context)

    def results(
        self,
        report: Report,
        *,
        begin: Callable[[Run, Step], None] = lambda run, step: None,
    ) -> Iterator[tuple[Run, AnyKind, ResultRecord]]:
        """Measure, and yield each result with its run once it is kept.

        The context is told of a step that could not be done, where it stops no other. What a model
        that was trained elsewhere cannot be asked stops none.

        Args:
            report: told which part of a step is done, and which share of it.
            begin: told which step comes next, of which run.

        Raises:
            UserError: a step could not be done that all others hang on.
        """
        with ExitStack() as finishing:
            for _, step in self.steps:
                finishing.callback(step.finish)
            for run in self.runs:
                for kind, step in self.steps:
                    begin(run, step)
                    try:
                        records = step.measure(run, report)
                    except UserError as error:
                        said = f"{run.path.name}, {step.name}: {error}"
                        if isinstance(error, Unsupported) and run.record().imported is not None:
                            self.context.warn(said)
                        elif step.alone:
                            self.context.fail(UserError(said))
                        else:
                            raise
                        continue
                    for record in records:
                        yield run, kind, record
