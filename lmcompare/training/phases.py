"""What a phase changes in training: the learning rate, and what is said where it begins."""

import math
from collections.abc import Sequence

from lmcompare.config.budget import Spent
from lmcompare.config.phases import Phase
from lmcompare.config.run import RunConfig
from lmcompare.errors import UserError
from lmcompare.optim import learning_rate
from lmcompare.runs.outside import StartRecord
from lmcompare.training.validation import Validated


def require_steps(config: RunConfig) -> None:
    """Make sure that each phase has a step, where the budget tells how much of it a step takes.

    Raises:
        UserError: one is shorter than a step.
    """
    batch = config.batch
    of_a_step = {"steps": 1, "tokens": batch.rows * (batch.length - 1)}.get(config.budget.unit)
    if of_a_step is None:
        return
    step = of_a_step / config.budget.amount
    for phase in config.phases:
        if math.ceil(round(phase.start / step, 6)) * step >= phase.stop:
            raise UserError(
                f"phase {phase.number} of {len(config.phases)}, {phase}, is shorter than a step, "
                f"which takes {100 * step:.3g}% of the budget: raise its share or the budget"
            )


def skipped(config: RunConfig, phase: Phase, last: int | None) -> Sequence[Phase]:
    """Return the phases before that of a step which had no step of their own.

    Args:
        config: of the run.
        phase: that the step is of.
        last: the number of the phase of the step before it; None before the first step of all.
    """
    return config.phases[last or 0 : phase.number - 1]


def rate_of_step(config: RunConfig, phase: Phase, reached: Spent) -> float:
    """Return the learning rate of a step: of one schedule across the phases, or of the phase's own.

    Args:
        config: of the run.
        phase: that the step is of.
        reached: what is spent when it is done.
    """
    progress = config.budget.progress(reached)
    if config.optimizer.per_phase:
        progress = phase.progress(progress)
    return learning_rate(config.optimizer, progress)


def begins(phase: Phase, last: int | None, before: Spent, start: StartRecord | None) -> bool:
    """Tell whether a step is the first that an objective takes with weights that others trained.

    Args:
        phase: that the step is of.
        last: the number of the phase of the step before it; None before the first step of all.
        before: what is spent before the step.
        start: whose weights the run began with; None of new ones.
    """
    return start is not None if not before.steps else phase.number != (last or phase.number)


def said_at_start(
    config: RunConfig, phase: Phase, start: StartRecord | None, asked: Validated
) -> str:
    """Return what is said of a model that an objective takes over, before its first step.

    Args:
        config: of the run.
        phase: that begins.
        start: whose weights the run began with; None of new ones.
        asked: what the model makes of the validation text now.
    """
    first = phase.number == 1 and start is not None
    taken = start.source if first and start is not None else _before(config, phase)
    which = f"phase {phase.number} of {len(config.phases)}, " if config.phase else ""
    common = "" if asked.common is None else f", common {asked.common:.4f}"
    return (
        f"{which}{phase.objective.name} on the weights of {taken}: before its first step "
        f"validation {asked.loss:.4f}{common}"
    )


def _before(config: RunConfig, phase: Phase) -> str:
    return str(config.phases[phase.number - 2].objective.name)
