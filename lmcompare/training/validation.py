"""The validation text of a run: some blocks, and when the loss on them is due."""

import numpy as np
import torch

from lmcompare import rng
from lmcompare.config.budget import Spent
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared
from lmcompare.training.batches import pieces
from lmcompare.view import View


class Validation:
    """The same blocks under the same corruption for every run of an objective.

    Attributes:
        pieces: views on the blocks, each for one pass; empty where nothing is to be validated.
    """

    def __init__(
        self, config: RunConfig, prepared: Prepared, *, micro_batch: int, device: torch.device
    ):
        self._config = config
        self.pieces: list[View] = []
        if config.validation.times > 0:
            self.pieces = pieces(_view(config, prepared), micro_batch, device)

    def is_due(self, before: Spent, after: Spent) -> bool:
        """Tell whether the step between these two is to be followed by validation."""
        times, budget = self._config.validation.times, self._config.budget
        return int(min(budget.progress(after), 1.0) * times) > int(budget.progress(before) * times)


def _view(config: RunConfig, prepared: Prepared) -> View:
    """Return what the objective makes of blocks that lie evenly over the validation text."""
    batch, split = config.batch, prepared.split("validation")
    num_blocks = split.num_blocks(batch.length)
    num_chosen = min(num_blocks, config.validation.blocks)
    chosen = np.linspace(0, num_blocks - 1, num_chosen).astype(np.int64)
    text = split.blocks(chosen, length=batch.length, separate_documents=batch.separate_documents)
    return config.objective.corrupt(text, prepared.vocab, rng.generator("validation"))
