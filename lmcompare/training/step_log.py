"""What came out of the steps of a run, written down once the device has computed it."""

import math
from dataclasses import dataclass
from time import perf_counter

from torch import Tensor

from lmcompare.config.budget import Budget, Spent
from lmcompare.errors import UserError
from lmcompare.runs import checkpoints
from lmcompare.runs.contention import Pace
from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run
from lmcompare.training.boards.feeding import Boards
from lmcompare.training.events import Progress, Report
from lmcompare.training.validation import Validated


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """A step whose loss the device may still be computing.

    Attributes:
        before: what was spent before it.
        after: what was spent when it was done, as far as the device had computed it.
        rate: its learning rate.
        loss: of its batch, nats a target.
        norm: of its gradient.
        validated: what the model made of the validation text after it, where that was due.
        parts: the targets of each part of a mixture.
        phase: the number of its phase; None of a run without phases.
        begun: what the model made of the validation text before it, where that was due.
    """

    before: Spent
    after: Spent
    rate: float
    loss: Tensor
    norm: Tensor
    validated: Validated | None
    parts: list[int] | None
    phase: int | None = None
    begun: Validated | None = None


class StepLog:
    """The steps that wait to be read, and how those that were read are written down.

    Attributes:
        pace: how fast the run has been.
        validation: the last validation loss, nats a target.
    """

    def __init__(
        self,
        run: Run,
        budget: Budget,
        *,
        pace: Pace,
        matmul_rate: float,
        validation: float | None,
        report: Report,
    ):
        self._run, self._budget, self._report = run, budget, report
        self._matmul_rate = matmul_rate
        self._waiting: list[StepResult] = []
        self.pace, self.validation = pace, validation

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, step: StepResult) -> None:
        """Let a step wait to be read."""
        self._waiting.append(step)

    def write(self, spent: Spent, boards: Boards) -> Spent:
        """Read the steps that wait, report them and write them down.

        Args:
            spent: by the run, the last of these steps included.
            boards: that they are shown on, too.

        Returns:
            The same with the seconds that the device was waited for.

        Raises:
            UserError: a loss or a gradient is not a number, or the disk is full.
        """
        steps, self._waiting = self._waiting, []
        if not steps:
            return spent
        start = perf_counter()
        read = [(float(step.loss), float(step.norm)) for step in steps]  # waits for the device
        spent = spent.later(perf_counter() - start)
        each = (spent.seconds - steps[0].before.seconds) / len(steps)
        for number, (step, (loss, norm)) in enumerate(zip(steps, read, strict=True), start=1):
            self._require_finite(loss, "loss", step.after.steps)
            self._require_finite(norm, "norm of the gradient", step.after.steps)
            validation = common = None
            if step.validated is not None:
                validation, common = step.validated.loss, step.validated.common
                self.validation = validation
                self._require_finite(validation, "validation loss", step.after.steps)
            line = MetricsLine(
                step=step.after.steps,
                tokens=step.after.tokens,
                targets=step.after.targets,
                flops=step.after.flops,
                seconds=spent.seconds - (len(steps) - number) * each,
                loss=loss,
                learning_rate=step.rate,
                gradient_norm=norm,
                validation=validation,
                common=common,
                parts=step.parts,
                phase=step.phase,
                validation_before=None if step.begun is None else step.begun.loss,
                common_before=None if step.begun is None else step.begun.common,
            )
            self._run.add_metrics(line)
            self._report(self._progress(line, step.before, seconds=each))
            boards.write(line)
        return spent

    def _progress(self, line: MetricsLine, before: Spent, *, seconds: float) -> Progress:
        after, budget = line.spent, self._budget
        share = min(budget.progress(after), 1.0)
        gained = budget.progress(after) - budget.progress(before)
        return Progress(
            line=line,
            share=share,
            tokens_per_second=(after.tokens - before.tokens) / seconds,
            seconds_left=(1 - share) / gained * seconds if gained > 0 else math.inf,
            disturbed=self.pace.add(line),
            utilisation=(after.flops - before.flops) / seconds / self._matmul_rate,
        )

    def _require_finite(self, value: float, what: str, step: int) -> None:
        if math.isfinite(value):
            return
        run = self._run
        found = checkpoints.latest(run.checkpoints, run=run.hash, warn=lambda _: None)
        kept = "no checkpoint was saved yet"
        if found is not None:
            kept = f"the last good checkpoint, of step {found.record.spent.steps}, is kept"
        raise UserError(
            f"the {what} became {value} at step {step} of {run.path}, and {kept}: "
            "try a lower optimizer.learning_rate or a longer optimizer.warmup"
        )
