"""Fine-tuning: a copy of a model and a linear head learn from labelled examples.

The head starts from the frozen probe (Kumar et al. 2022, https://arxiv.org/abs/2202.10054), or at
zero where each token is asked about. AdamW at a constant rate after a short warm-up learns until
the validation rows have not improved for a while, and the averaged weights that were best there are
kept. Every pooling is tried for some steps at the middle rate, then the other rates with the best
pooling; the best of all goes on. Learned in the precision that the model was trained in, asked in
float32.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from torch import Tensor

from lmcompare.evaluation.supervised import linear_probe
from lmcompare.evaluation.supervised.pooling import (
    Head,
    HeadOnStates,
    PooledStates,
    which_stack,
)
from lmcompare.evaluation.supervised.search import Search, widen
from lmcompare.evaluation.supervised.spec import (
    BATCH,
    FineTuneSpec,
    LabelledRow,
    Outputs,
    batches,
)
from lmcompare.evaluation.tasks.options import Pooling
from lmcompare.evaluation.tasks.record import LEARNING_RATE, MOST, POOLING, Trial
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.runs.loaded_model import LoadedModel

# learning rates, in those of pre-training by default, of which the three in the middle come first
FACTORS = (1 / 100, 1 / 30, 1 / 10, 1 / 3, 1.0, 10 / 3, 10.0, 100 / 3, 100.0)
WARM_UP = 20  # steps over which the rate rises
AVERAGED = 0.95  # decay of the averaged weights
PATIENCE = 4  # evaluations without a better one after which learning stops
FEWEST_BETWEEN, MOST_BETWEEN = 20, 100  # steps between evaluations: an epoch, within these
TRIAL_STEPS = 400  # of each pooling and rate that is tried
MOST_STEPS = 3000  # of the best of them, which goes on


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What has learned: a head, and a model that may be another than it was.

    Attributes:
        reader: gives the outputs.
        frozen: the probe of the unchanged model, where there is one.
        settings: that were chosen on validation examples.
        trials: all that were tried.
    """

    reader: HeadOnStates
    frozen: HeadOnStates | None
    settings: dict[str, str | float]
    trials: list[Trial]

    def outputs(self, rows: Sequence[LabelledRow]) -> Outputs:
        """Return the head's outputs for each row, on the CPU; other rows do not change them."""
        return self.reader.outputs(rows)


def probe(model: LoadedModel, spec: FineTuneSpec, *, report: Callable[[float], None]) -> Learned:
    """Teach a head what the states of an unchanged model say; as `tune`."""
    search = linear_probe.chosen(linear_probe.probe(model, spec, report=report))
    return Learned(
        reader=search.kept,
        frozen=None,
        settings={**which_stack(model), **linear_probe.settings(search.best)},
        trials=search.choose(search.best),
    )


def tune(model: LoadedModel, spec: FineTuneSpec, *, report: Callable[[float], None]) -> Learned:
    """Teach a copy of a model.

    Args:
        model: whose model stays as it is.
        spec: what to learn.
        report: told the share that is done, 0 to 1.
    """
    probes = linear_probe.probe(model, spec, report=lambda share: None) if spec.probed else {}
    wanted: Sequence[Pooling | None] = spec.poolings or [None]
    planned = len(wanted) + 3  # trials, two more rates, and going on with the best
    begun = 0

    def tell(share: float) -> None:
        report(min(begun - 1 + share, planned) / planned)

    def attempt(pooling: Pooling | None, rate: float) -> Search[_Learning]:
        nonlocal begun
        begun += 1
        reading = PooledStates(model, deepcopy(model.net), pooling)
        width, device = model.net.width, model.net.device
        known = None if pooling is None else probes.get(pooling)
        head = Head(width, spec.num_outputs, device=device) if known is None else known.kept.head
        learning = _Learning(HeadOnStates(reading, deepcopy(head)), spec, rate)
        learning.go_on(min(TRIAL_STEPS, MOST_STEPS), tell)
        return Search.of(learning.trial, learning)

    usual = OptimizerConfig().suited_to(model.net.width).learning_rate
    rates = [float(f"{usual * factor:.3g}") for factor in FACTORS]
    middle = rates[len(rates) // 2]
    first, *others = wanted
    search = attempt(first, middle)
    for each in others:
        search.add(attempt(each, middle))
    pooling = search.best.pooling
    search = widen(rates, lambda rate: attempt(pooling, rate), middle=search)
    begun += 1
    search.kept.go_on(MOST_STEPS, tell)
    trials = search.choose(search.kept.finish())
    report(1)
    assert search.best.learning_rate is not None
    settings: dict[str, str | float] = {
        **which_stack(model),
        **({} if pooling is None else {POOLING: pooling}),
        LEARNING_RATE: search.best.learning_rate,
        "steps": float(search.best.steps),
        "steps of a trial at most": float(TRIAL_STEPS),
        MOST: float(MOST_STEPS),
        "learned in": str(search.kept.reader.states.dtype).removeprefix("torch."),
    }
    return Learned(
        reader=search.kept.reader,
        frozen=linear_probe.chosen(probes).kept if probes else None,
        settings=settings,
        trials=trials,
    )


def steps_between(num_rows: int) -> int:
    """Return steps between evaluations of learning from so many rows."""
    return min(max(-(-num_rows // BATCH), FEWEST_BETWEEN), MOST_BETWEEN)


class _Learning:
    """Learning with one pooling and one rate, which can be gone on with."""

    def __init__(self, reader: HeadOnStates, spec: FineTuneSpec, rate: float):
        self.reader = reader
        self._lesson = spec
        self._rate = rate
        config = OptimizerConfig(learning_rate=rate, weight_decay=0.01, beta2=0.999, ema=AVERAGED)
        self._optimizer = Optimizer(reader, config, dtype=reader.states.dtype)
        self._batches = batches(spec.train, name=spec.name)
        self._between = steps_between(len(spec.train))
        self._step = 0
        self._keep(reader.merit(spec), self._optimizer.weights())

    def go_on(self, until: int, report: Callable[[float], None]) -> None:
        """Learn until a step, or until the validation rows stop improving."""
        while self._step < until and not self.stopped:
            rows = next(self._batches)
            self._lesson.loss(self.reader(rows), rows).backward()
            self._optimizer.collect()
            self._step += 1
            self._optimizer.step(rate=self._rate * min(1, self._step / WARM_UP))
            if self._step % self._between == 0:
                with self._optimizer.averaged():
                    now = self.reader.merit(self._lesson)
                averaged = self._optimizer.averaged_weights()
                assert averaged is not None
                if now > self._best:
                    self._keep(now, averaged)
                report(self._step / until)

    @property
    def stopped(self) -> bool:
        """Tell whether the validation rows have not improved for long enough."""
        return self._step - self._best_step >= PATIENCE * self._between

    @property
    def trial(self) -> Trial:
        """Return how well it did so far, as asked while it learned."""
        value, minus_loss = self._best
        return Trial(
            pooling=self.reader.states.pooling,
            learning_rate=self._rate,
            validation=value,
            loss=-minus_loss,
            steps=self._best_step,
        )

    def finish(self) -> Trial:
        """Take up the weights that did best, in float32."""
        for name, weight in self._weights.items():
            self.reader.get_parameter(name).data = weight
        self.reader.eval()
        value, minus_loss = self.reader.merit(self._lesson)
        known = {"validation": value, "loss": -minus_loss, "cut_off": not self.stopped}
        return self.trial.model_copy(update=known)

    def _keep(self, merit: tuple[float, float], weights: Mapping[str, Tensor]) -> None:
        self._best, self._best_step = merit, self._step
        self._weights = {name: each.clone() for name, each in weights.items()}
