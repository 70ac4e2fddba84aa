"""A model that is to be measured: the network of a run's checkpoint, and what goes with it.

Always in float32, whatever the run was trained in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lmcompare import devices
from lmcompare.config.budget import Spent
from lmcompare.data import Tokenizer
from lmcompare.devices import Precision
from lmcompare.model import Backbone
from lmcompare.objectives import Objective
from lmcompare.runs.checkpoints import Checkpoint
from lmcompare.runs.finding import every_checkpoint, load_checkpoint
from lmcompare.runs.records import RunRecord
from lmcompare.runs.run import Run
from lmcompare.view import Text

REPLICATES = 2  # of what is sampled; many texts make the spread between them known


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A run's last model, and what goes with it."""

    run: Run
    record: RunRecord
    tokenizer: Tokenizer
    net: Backbone
    spent: Spent = field(default_factory=Spent)

    @property
    def step(self) -> int:
        """Of training, after which it is as it is."""
        return self.spent.steps

    @property
    def objective(self) -> Objective:
        """What it was trained with, and is scored by."""
        return self.record.config.objective

    def log_prob(
        self, text: Text, asked: Bool[Tensor, "B T"], scoring: str
    ) -> tuple[Float[Tensor, "B T"], float]:
        """Natural log-probability of each asked token, float64, and the variance of their sum.

        The variance is that of sampling alone, and 0 where nothing is sampled.
        """
        sampled = self.objective.scorings[scoring].sampled
        estimates = torch.stack(
            [
                self.objective.score(
                    self.net,
                    text,
                    self.tokenizer.vocab,
                    asked,
                    scoring=scoring,
                    replicate=replicate,
                ).double()
                for replicate in range(REPLICATES if sampled else 1)
            ]
        )
        variance = float(estimates.sum(2).var(0).sum()) / REPLICATES if sampled else 0.0
        return estimates.mean(0), variance


def load_model(
    run: Run,
    *,
    device: str,
    warn: Callable[[str], None],
    precision: Precision = "float32",
    batch_size: int | None = None,
) -> LoadedModel:
    """A run's last model.

    Args:
        run: with at least one checkpoint.
        device: where it computes.
        warn: told of a damaged checkpoint that was passed over.
        precision: of its weights, which are saved in float32.
        batch_size: rows that it is asked about at once; as many as suits the device by default.

    Raises:
        UserError: no run, no checkpoint, no such device.
    """
    devices.choose_device(device)
    subject = _subject(run, load_checkpoint(run, warn=warn), device, batch_size)
    subject.net.to(devices.DTYPES[precision])
    return subject


def load_checkpoints(
    run: Run, *, device: str, warn: Callable[[str], None], batch_size: int | None = None
) -> Iterator[LoadedModel]:
    """The models of all checkpoints of a run that were kept, the oldest first; as `load_model`.

    Raises:
        UserError: no run, no checkpoint, no such device.
    """
    devices.choose_device(device)
    for checkpoint in every_checkpoint(run, warn=warn):
        yield _subject(run, checkpoint, device, batch_size)


def _subject(run: Run, checkpoint: Checkpoint, device: str, batch_size: int | None) -> LoadedModel:
    devices.keep_freed_memory()
    record, tokenizer = run.record(), run.tokenizer()
    net = Backbone(record.config.model, vocab_size=tokenizer.vocab.size)
    net.load_state_dict(checkpoint.weights())
    net.batch_size = batch_size
    return LoadedModel(
        run=run,
        record=record,
        tokenizer=tokenizer,
        net=net.to(devices.choose_device(device)).eval(),
        spent=checkpoint.record.spent,
    )
