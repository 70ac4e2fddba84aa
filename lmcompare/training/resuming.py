"""Where a session of training goes on: at the last good checkpoint, or at the beginning."""

from dataclasses import dataclass

from lmcompare.config.budget import Spent
from lmcompare.errors import UserError
from lmcompare.optim import Optimizer
from lmcompare.runs import checkpoints
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.runs.run import Run
from lmcompare.training.control_sheet import ReadSoFar
from lmcompare.training.events import Message, Report


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a run is.

    Attributes:
        spent: what was spent on it.
        validation: the last validation loss, nats a target; None where there was none.
        read: what it has read.
        phase: the number of the phase of its last step; None of a run without phases or steps.
    """

    spent: Spent
    validation: float | None
    read: ReadSoFar
    phase: int | None


def resume(run: Run, optimizer: Optimizer, *, report: Report) -> Standing:
    """Return to the last good checkpoint of a run, if there is one; what was later is dropped.

    Args:
        run: where it lives.
        optimizer: given the weights and the moments of the checkpoint.
        report: told of it, and of damaged checkpoints that were passed over.

    Raises:
        UserError: no checkpoint is good, or `metrics.jsonl` is not that of the checkpoint.
    """
    metrics = MetricsFile(run.metrics_file)
    found = checkpoints.latest(
        run.checkpoints,
        run=run.hash,
        warn=lambda text: report(Message(text=text, warning=True)),
    )
    if found is None:
        metrics.cut(0)
        standing = Standing(spent=Spent(), validation=None, read=ReadSoFar({}), phase=None)
    else:
        record = found.record
        if (manifest := record.manifest) is not None:
            run.require_metrics(manifest)
            metrics.cut(manifest.metrics_size)
        else:  # of schema 1
            metrics.cut_after(record.spent.steps)
        optimizer.restore(found.optimizer())
        standing = Standing(
            spent=record.spent,
            validation=record.validation,
            read=ReadSoFar(None if manifest is None else manifest.read),
            phase=record.phase,
        )
        report(Message(text=f"continuing from step {record.spent.steps}"))
    last = metrics.last()
    if (0 if last is None else last.step) != standing.spent.steps:
        raise UserError(
            f"{run.metrics_file} lacks the steps before the checkpoint of step "
            f"{standing.spent.steps}: bring it back, or start the run again with `again=True`"
        )
    return standing
