"""A contestant: a model that is to be measured, with what goes with it, wherever it comes from.

A run's last model, one of its checkpoints, the same model as it started, and a mixture that is read
by one of its parts are made here. All are in float32, whatever they were trained in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare import devices
from lmcompare.config.budget import Spent
from lmcompare.data import Prepared, Tokenizer
from lmcompare.devices import Precision
from lmcompare.errors import UserError, did_you_mean
from lmcompare.model import Backbone
from lmcompare.objectives import Objective
from lmcompare.objectives.network import LanguageModel
from lmcompare.runs.checkpoints import Checkpoint
from lmcompare.runs.finding import every_checkpoint, load_checkpoint
from lmcompare.runs.origin import Origin, Trained, trained
from lmcompare.runs.results import Results
from lmcompare.runs.run import Run
from lmcompare.runs.starting import fill, first_weights
from lmcompare.runs.training_text import text_of
from lmcompare.view import Text

REPLICATES = 2  # of what is sampled; many texts make the spread between them known


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model, how it may be asked, and where what is measured of it is kept.

    Attributes:
        objective: what it was trained with, and is scored by.
        tokenizer: its tokenizer.
        net: the network.
        length: how many tokens the rows had that it was trained on.
        path: what it is called in messages: the folder of its run.
        arm: the name of its arm.
        seed: the seed of its run.
        results: where what is measured of it is kept.
        origin: what can be had of its training.
        trained: what is known of its training.
        precision: in which it was trained.
        spent: what its training took.
    """

    objective: Objective
    tokenizer: Tokenizer
    net: LanguageModel
    length: int
    path: Path
    arm: str
    seed: int
    results: Results
    origin: Origin
    trained: Trained
    precision: Precision = "float32"
    spent: Spent = field(default_factory=Spent)

    @property
    def step(self) -> int:
        """Return the step of training after which it is as it is; 0 if it was not trained."""
        return self.spent.steps

    def log_prob(
        self, text: Text, score_mask: Bool[Tensor, "B T"], scoring: str
    ) -> tuple[Float[Tensor, "B T"], float]:
        """Return the natural log-probability of each asked token, and the variance of their sum.

        Both are in float64. The variance is that of sampling alone, and 0 where nothing is sampled.
        """
        sampled = self.objective.scorings[scoring].sampled
        estimates = torch.stack(
            [
                self.objective.score(
                    self.net,
                    text,
                    self.tokenizer.vocab,
                    score_mask,
                    scoring=scoring,
                    replicate=replicate,
                ).double()
                for replicate in range(REPLICATES if sampled else 1)
            ]
        )
        variance = float(estimates.sum(2).var(0).sum()) / REPLICATES if sampled else 0.0
        return estimates.mean(0), variance


Contestant = Run | LoadedModel


def load_model(
    run: Run,
    *,
    device: str,
    warn: Callable[[str], None],
    precision: Precision = "float32",
    batch_size: int | None = None,
) -> LoadedModel:
    """Return a run's last model, or that of the checkpoint that is meant.

    Args:
        run: with at least one checkpoint, or one that stands for a model from elsewhere.
        device: where it computes.
        warn: told of a damaged checkpoint that was passed over.
        precision: of its weights, which are saved in float32.
        batch_size: rows that it is asked about at once; as many as suits the device by default.

    Raises:
        UserError: no run, no checkpoint, no such device.
    """
    devices.choose_device(device)
    if run.record().imported is not None:
        from lmcompare.runs.imported import load_imported

        return load_imported(run, device=device, precision=precision, batch_size=batch_size)
    checkpoint = load_checkpoint(run, warn=warn)
    return _loaded(run, checkpoint, device, batch_size, precision=precision)


def load_checkpoints(
    run: Run, *, device: str, warn: Callable[[str], None], batch_size: int | None = None
) -> Iterator[LoadedModel]:
    """Yield the models of all checkpoints of a run that were kept, the oldest first.

    Raises:
        UserError: no run, no checkpoint, no such device.
    """
    devices.choose_device(device)
    if run.record().imported is not None:  # it has no other
        yield load_model(run, device=device, warn=warn, batch_size=batch_size)
        return
    for checkpoint in every_checkpoint(run, warn=warn):
        yield _loaded(run, checkpoint, device, batch_size)


def opened(
    contestant: Contestant,
    *,
    device: str,
    warn: Callable[[str], None],
    batch_size: int | None = None,
) -> LoadedModel:
    """Return a model as it is, and of a run its last one, as `load_model` does."""
    if isinstance(contestant, LoadedModel):
        return contestant
    return load_model(contestant, device=device, warn=warn, batch_size=batch_size)


def untrained(model: LoadedModel) -> list[LoadedModel]:
    """Return the same model as it was before its first step; none where that is not known."""
    net = model.origin.untrained()
    if net is None:
        return []
    net.batch_size = model.net.batch_size
    if isinstance(net, torch.nn.Module):
        net.to(model.net.device)
    return [replace(model, net=net, spent=Spent())]


def read_as(model: LoadedModel, part: str) -> LoadedModel:
    """Return a model of a mixture as one of its parts reads and scores; its results lie apart.

    Args:
        model: of a mixture of objectives.
        part: the name of one of these.

    Raises:
        UserError: the mixture has no such part, or the model is of no mixture.
    """
    parts = model.objective.mixture
    if part not in parts:
        raise UserError(
            f"{model.path} cannot be read as '{part}': "
            + (did_you_mean(part, parts) if parts else f"{model.objective.name} mixes nothing")
        )
    apart = replace(model.results, folder=model.results.folder / f"as-{part}")
    return replace(model, objective=parts[part], results=apart, arm=f"{model.arm} as {part}")


@dataclass(frozen=True)
class _OfRun:
    """The run that a model comes from."""

    run: Run

    def token_counts(self) -> Int[ndarray, " V"]:
        return self.run.token_counts()

    def training_text(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        return text_of(self.run, self.run.record(), cache=cache, warn=warn)

    def asked_about(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        return self.training_text(cache=cache, warn=warn)

    def untrained(self) -> LanguageModel:
        config, size = self.run.record().config, self.run.tokenizer().vocab.size
        net = Backbone(config.model, vocab_size=size, seed=config.seed)
        weights = first_weights(self.run)
        if weights is not None:
            fill(net, weights)
        return net.eval()


def _loaded(
    run: Run,
    checkpoint: Checkpoint,
    device: str,
    batch_size: int | None,
    *,
    precision: Precision = "float32",
) -> LoadedModel:
    devices.keep_freed_memory()
    record, tokenizer = run.record(), run.tokenizer()
    config = record.config
    net = Backbone(config.model, vocab_size=tokenizer.vocab.size)
    net.load_state_dict(checkpoint.weights())
    net.batch_size = batch_size
    phase = checkpoint.record.phase
    return LoadedModel(
        objective=config.objective if phase is None else config.phases[phase - 1].objective,
        tokenizer=tokenizer,
        net=net.to(devices.choose_device(device), devices.DTYPES[precision]).eval(),
        length=config.batch.length,
        path=run.path,
        arm=record.arm,
        seed=config.seed,
        results=run.results,
        origin=_OfRun(run),
        trained=trained(run),
        precision="bfloat16" if record.precision == "bfloat16" else "float32",
        spent=checkpoint.record.spent,
    )
