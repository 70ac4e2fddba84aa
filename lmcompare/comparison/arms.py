"""Read what each run left behind, and hold the arms that runs are seeds of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from lmcompare.comparison.plateau import steps_to_leave, unigram_of_targets
from lmcompare.comparison.wording import described
from lmcompare.config.budget import Spent
from lmcompare.config.phases import Phase
from lmcompare.errors import UserError
from lmcompare.evaluation.registry import kinds
from lmcompare.runs.curves import Curve, read_curve
from lmcompare.runs.records import ResultRecord, RunRecord, TextRecord
from lmcompare.runs.run import Run

Kept = TypeVar("Kept", bound=ResultRecord)


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that is compared of one run, read once."""

    run: Run
    record: RunRecord
    finished: bool
    spent: Spent
    loss: float | None  # of training at its end, nats a target
    validation: float | None  # nats a target
    peak_memory: int | None  # bytes
    undisturbed_seconds: float | None = None  # without other work on the machine, where it shows
    read: Mapping[int, str] | None = None  # by step, a hash of what was read up to it
    measured: Sequence[ResultRecord]  # kind by kind; of the model as it started, too
    outdated: Sequence[ResultRecord]  # asked in a way that there is no longer; not in the above
    unselected: Sequence[ResultRecord] = ()  # that the user does not want; not in the above

    @cached_property
    def unigram_of_targets(self) -> float | None:
        """Return the entropy of its targets' frequencies, nats a target; None if not known."""
        config = self.record.config
        return unigram_of_targets(self.run, config.objective, length=config.batch.length)

    @cached_property
    def steps_to_leave_unigram(self) -> float | None:
        """Return the step at which it had left that; infinite if never; None if not known."""
        if self.record.config.phase or self.record.start is not None:
            return None  # what it left, it may have left with another objective
        unigram, curve = self.unigram_of_targets, self.curve
        if unigram is None or isinstance(curve, UserError):
            return None
        return steps_to_leave(curve.losses, unigram)

    @cached_property
    def curve(self) -> Curve | UserError:
        """Return what it had learned step by step, or why that cannot be read."""
        try:
            return read_curve(self.run)
        except UserError as error:
            return error

    def in_all(self, spent: Spent) -> Spent | None:
        """Return what was spent on it and on what it started from; None if that is not known."""
        start = self.record.start
        return spent if start is None else start.with_more(spent)

    @cached_property
    def spent_in_phases(self) -> Sequence[tuple[Phase, Spent]]:
        """Return what each of its phases took so far; none of a run without phases.

        Raises:
            UserError: its metrics cannot be read.
        """
        config = self.record.config
        if not config.phase:
            return []
        ends = {line.phase: line.spent for line in self.run.metrics()}
        found, before = list[tuple[Phase, Spent]](), Spent()
        for phase in config.phases:
            if phase.number in ends:
                found.append((phase, ends[phase.number].less(before)))
                before = ends[phase.number]
        return found

    @property
    def seed(self) -> int:
        """Return the seed of the order, the initial weights and the corruption."""
        return self.record.config.seed

    def of(self, kind: type[Kept]) -> list[Kept]:
        """Return the results of one kind."""
        return [each for each in self.measured if isinstance(each, kind)]

    def is_stale(self, measured: ResultRecord) -> bool:
        """Tell whether it was measured before the run had ended."""
        return not measured.is_untrained and self.is_stale_step(measured.step)

    def is_stale_step(self, step: int) -> bool:
        """Tell whether a model of that step is not the one with which the run ended."""
        return self.finished and step != self.spent.steps

    def is_unselected(self, kind: type[ResultRecord]) -> bool:
        """Return whether something of that kind was measured, and is not wanted."""
        return any(isinstance(each, kind) for each in self.unselected)

    def is_new(self, measured: TextRecord, scoring: str | None) -> bool:
        """Return whether training never hid as much of a text as was asked for there."""
        how = self.record.config.objective.scorings.get(scoring or "")
        return how is not None and how.is_new(measured.hidden_share)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Runs that differ in their seed only."""

    label: str  # unlike that of any other arm
    results: Sequence[Result]  # one for each seed, by seed
    judged: bool = True  # whether it is ranked and has verdicts, once it is finished

    @property
    def objective(self) -> str:
        """Return the objective's name, with the hyper-parameters that are not at their defaults.

        Of phases all, each with its share of the budget.
        """
        record = self.results[0].record
        if record.imported is not None and record.imported.objective is None:
            return "states only"
        if not record.config.phase:
            return described(record.config.objective)
        return ", ".join(
            f"{described(each.objective)} {100 * each.share:g}%" for each in record.config.phases
        )

    @property
    def columns(self) -> dict[str, object]:
        """Return what each row of the tidy frame says that is about the arm as a whole."""
        first = self.results[0]
        return {
            "study": first.run.study,
            "arm": first.record.arm,
            "label": self.label,
            "finished": self.finished,
            "objective": first.record.config.objective.name,
        }

    @property
    def finished(self) -> bool:
        """Tell whether its runs are finished; unfinished ones are an arm of their own."""
        return self.results[0].finished

    @property
    def elsewhere(self) -> bool:
        """Tell whether it was trained elsewhere, so that nothing of its training is known."""
        return self.results[0].record.imported is not None

    @property
    def ranked(self) -> bool:
        """Tell whether it is ranked, and has verdicts."""
        return self.finished and self.judged


def read_results(
    runs: Iterable[Run], *, unfinished: bool, note: Callable[[str], None]
) -> list[Result]:
    """Return the finished runs, and the others too if they are wanted; damaged ones are told of.

    Raises:
        UserError: nothing is left.
    """
    results, left_out, damaged = list[Result](), list[str](), list[UserError]()
    for run in runs:
        if run.at is not None:
            raise UserError(f"{run.path} is meant as it was at step {run.at}: name the run alone")
        try:
            result = _read(run, note)
        except UserError as error:
            damaged.append(error)
            note(f"left out: {error}")
            continue
        if result is None:
            left_out.append(f"{run.path} (no step yet)")
        elif result.finished or unfinished:
            results.append(result)
        else:
            left_out.append(f"{run.path} (at step {result.spent.steps:,})")
    if damaged and not results:
        raise damaged[0]
    if not left_out and not results:
        raise UserError("there is no run to compare: start one with `lmcompare train`")
    if not results:
        first, *others = left_out
        more = f" and {len(others)} more are" if others else " is"
        raise UserError(
            f"no run is finished: {first}{more} not; the same `lmcompare train` goes on with it, "
            "and `unfinished=True` compares it as it stands"
        )
    if left_out:
        note(f"left out because not finished: {', '.join(left_out)}")
    if unverified := [result for result in results if not result.record.verified]:
        note(
            f"{len(unverified)} of {len(results)} runs were written by an earlier version without "
            "checksums, and what is in their files was not verified: "
            + ", ".join(str(result.run.path) for result in unverified)
        )
    return results


def _read(run: Run, note: Callable[[str], None]) -> Result | None:
    record, done = run.record(), run.done()
    measured = _measured(run, note)
    if done is not None:
        return Result(
            run=run,
            record=record,
            finished=True,
            spent=done.spent,
            loss=done.loss,
            validation=done.validation,
            peak_memory=done.peak_memory,
            undisturbed_seconds=done.undisturbed_seconds,
            read=None if done.manifest is None else done.manifest.read,
            **measured,
        )
    line = run.last_metrics()
    if line is None:
        return None
    validated = [each.validation for each in run.metrics() if each.validation is not None]
    return Result(
        run=run,
        record=record,
        finished=False,
        spent=Spent(
            **line.model_dump(include={"tokens", "targets", "flops", "seconds"}), steps=line.step
        ),
        loss=line.loss,
        validation=validated[-1] if validated else None,
        peak_memory=None,
        **measured,
    )


def _measured(run: Run, note: Callable[[str], None]) -> dict[str, Any]:
    """Return all results by kind, those apart that were asked in a way that there is no longer."""
    found: dict[str, list[ResultRecord]] = {"measured": [], "outdated": []}
    for kind in kinds().values():
        for each in run.results.read(kind.record, note):
            found["outdated" if each.is_outdated else "measured"].append(each)
    return found
