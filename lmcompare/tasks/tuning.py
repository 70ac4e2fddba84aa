"""Fine-tuning: a copy of a model and a linear head learn from labelled examples.

The head starts from the frozen probe (Kumar et al. 2022, https://arxiv.org/abs/2202.10054), or at
zero where each token is asked about. AdamW at a constant rate after a short warm-up learns until
the validation rows have not improved for a while, and the averaged weights that were best there are
kept. Every pooling is tried at the middle rate, then the other rates with the best pooling.
Learned in the precision that the model was trained in, asked in float32.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

from lmcompare.heldout import Subject
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.task_records import LEARNING_RATE, MOST, POOLING, Pooling, Trial
from lmcompare.tasks import probing
from lmcompare.tasks.lessons import BATCH, Lesson, Outputs, Row, batches
from lmcompare.tasks.searching import Search, widen
from lmcompare.tasks.states import Head, Reader, States, which_stack

# learning rates, in those of pre-training by default, of which the three in the middle come first
FACTORS = (1 / 100, 1 / 30, 1 / 10, 1 / 3, 1.0, 10 / 3, 10.0, 100 / 3, 100.0)
WARM_UP = 20  # steps over which the rate rises
AVERAGED = 0.95  # decay of the averaged weights
PATIENCE = 4  # evaluations without a better one after which learning stops
FEWEST_BETWEEN, MOST_BETWEEN = 20, 100  # steps between evaluations: an epoch, within these
MOST_STEPS = 3000


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What has learned: a head, and a model that may be another than it was.

    Attributes:
        reader: gives the outputs.
        frozen: the probe of the unchanged model, where there is one.
        settings: that were chosen on validation examples.
        trials: all that were tried.
    """

    reader: Reader
    frozen: Reader | None
    settings: dict[str, str | float]
    trials: list[Trial]

    def outputs(self, rows: Sequence[Row]) -> Outputs:
        """The head's outputs for each row, on the CPU; they do not depend on the other rows."""
        return self.reader.outputs(rows)


def probe(subject: Subject, lesson: Lesson, *, report: Callable[[float], None]) -> Learned:
    """Teach a head what the states of an unchanged model say; as `tune`."""
    search = probing.chosen(probing.probe(subject, lesson, report=report))
    return Learned(
        reader=search.kept,
        frozen=None,
        settings={**which_stack(subject), **probing.settings(search.best)},
        trials=search.trials,
    )


def tune(subject: Subject, lesson: Lesson, *, report: Callable[[float], None]) -> Learned:
    """Teach a copy of a model.

    Args:
        subject: whose model stays as it is.
        lesson: what to learn.
        report: told the share that is done, 0 to 1.
    """
    probes = probing.probe(subject, lesson, report=lambda share: None) if lesson.probed else {}
    planned = max(1, len(lesson.poolings)) + 2
    begun = 0

    def attempt(pooling: Pooling | None, rate: float) -> Search[Reader]:
        nonlocal begun
        begun += 1
        reading = States(subject, deepcopy(subject.net), pooling)
        width, device = subject.net.config.width, subject.net.device
        known = probes.get(pooling) if pooling is not None else None
        head = Head(width, lesson.num_outputs, device=device) if known is None else known.kept.head
        reader = Reader(reading, deepcopy(head))
        done = begun - 1
        trial = _learn(
            reader, lesson, rate, lambda share: report(min(done + share, planned) / planned)
        )
        return Search.of(trial, reader)

    usual = OptimizerConfig().suited_to(subject.net.config.width).learning_rate
    rates = [float(f"{usual * factor:.3g}") for factor in FACTORS]
    middle = rates[len(rates) // 2]
    wanted: Sequence[Pooling | None] = lesson.poolings or [None]
    first, *others = wanted
    search = attempt(first, middle)
    for each in others:
        search.add(attempt(each, middle))
    pooling = search.best.pooling
    search = widen(rates, lambda rate: attempt(pooling, rate), middle=search)
    report(1)
    best = search.best
    assert best.learning_rate is not None
    settings: dict[str, str | float] = {
        **which_stack(subject),
        **({} if pooling is None else {POOLING: pooling}),
        LEARNING_RATE: best.learning_rate,
        "steps": float(best.steps),
        MOST: float(MOST_STEPS),
        "learned in": str(search.kept.states.dtype).removeprefix("torch."),
    }
    return Learned(
        reader=search.kept.eval(),
        frozen=probing.chosen(probes).kept if probes else None,
        settings=settings,
        trials=search.trials,
    )


def steps_between(num_rows: int) -> int:
    """Steps between evaluations of learning from so many rows."""
    return min(max(-(-num_rows // BATCH), FEWEST_BETWEEN), MOST_BETWEEN)


def _learn(reader: Reader, lesson: Lesson, rate: float, report: Callable[[float], None]) -> Trial:
    """Learn until the validation rows stop improving, and keep what was best there."""
    config = OptimizerConfig(learning_rate=rate, weight_decay=0.01, beta2=0.999, ema=AVERAGED)
    optimizer = Optimizer(reader, config, dtype=reader.states.dtype)
    between = steps_between(len(lesson.train))
    given = batches(lesson.train, name=lesson.name)
    best, best_step, cut_off = reader.merit(lesson), 0, True
    weights = {name: each.clone() for name, each in optimizer.weights().items()}
    for step in range(1, MOST_STEPS + 1):
        rows = next(given)
        lesson.loss(reader(rows), rows).backward()
        optimizer.collect()
        optimizer.step(rate=rate * min(1, step / WARM_UP))
        if step % between == 0:
            with optimizer.averaged():
                now = reader.merit(lesson)
            averaged = optimizer.averaged_weights()
            assert averaged is not None
            if now > best:
                best, best_step = now, step
                weights = {name: each.clone() for name, each in averaged.items()}
            elif step - best_step >= PATIENCE * between:
                cut_off = False
                break
            report(step / MOST_STEPS)
    for name, weight in weights.items():
        reader.get_parameter(name).data = weight  # in float32
    value, minus_loss = reader.merit(lesson)
    return Trial(
        pooling=reader.states.pooling,
        learning_rate=rate,
        validation=value,
        loss=-minus_loss,
        steps=best_step,
        cut_off=cut_off,
    )
