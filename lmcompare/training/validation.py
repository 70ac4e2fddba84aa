"""The validation text of a run: what is asked about it, and when that is due."""

from dataclasses import dataclass

import numpy as np
import torch

from lmcompare import rng
from lmcompare.config.budget import Spent
from lmcompare.config.phases import Phase
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared
from lmcompare.objectives import Objective
from lmcompare.runs.common_question import CommonQuestion, length_of
from lmcompare.training.batches import pieces
from lmcompare.training.learner import Learner
from lmcompare.view import View


@dataclass(frozen=True, kw_only=True)
class Validated:
    """What a model made of the validation text."""

    loss: float  # nats a target of its objective
    common: float | None  # nats a hidden token, the same for every objective; None: no answer


class Validation:
    """The same blocks under the same corruption for every run of an objective.

    And the same hidden tokens for every run on a text.
    """

    def __init__(
        self, config: RunConfig, prepared: Prepared, *, micro_batch: int, device: torch.device
    ):
        self._config, self._vocab, self._prepared = config, prepared.vocab, prepared
        self._device, self._micro_batch = device, micro_batch
        self._pieces: dict[int, list[View]] = {}  # by phase; each for one pass
        self._rows_at_once = max(1, micro_batch * config.batch.length // length_of(config))
        if config.validation.times > 0:
            split = prepared.split("validation")
            self._question = CommonQuestion.drawn(config, split, prepared.vocab)

    def is_due(self, before: Spent, after: Spent) -> bool:
        """Tell whether the step between these two is to be followed by validation.

        It is where a phase ends, too.
        """
        times, budget = self._config.validation.times, self._config.budget
        phases = [self._config.phase_after(spent).number for spent in (before, after)]
        if times > 0 and phases[0] != phases[1]:
            return True
        return int(min(budget.progress(after), 1.0) * times) > int(budget.progress(before) * times)

    def __call__(self, learner: Learner, phase: Phase) -> Validated:
        """Ask a network, where `is_due` said so; nothing that training depends on is changed.

        Args:
            learner: holds the network.
            phase: by whose objective it is asked.
        """
        if phase.number not in self._pieces:
            view = _view(self._config, phase.objective, self._prepared)
            self._pieces[phase.number] = pieces(view, self._micro_batch, self._device)
        loss = learner.loss(self._pieces[phase.number])
        with learner.evaluated() as net:
            common = self._question.answer(
                phase.objective, net, self._vocab, rows_at_once=self._rows_at_once
            )
        return Validated(loss=loss, common=common)


def _view(config: RunConfig, objective: Objective, prepared: Prepared) -> View:
    """Return what an objective makes of blocks that lie evenly over the validation text."""
    batch, split = config.batch, prepared.split("validation")
    num_blocks = split.num_blocks(batch.length)
    num_chosen = min(num_blocks, config.validation.blocks)
    chosen = np.linspace(0, num_blocks - 1, num_chosen).astype(np.int64)
    text = split.blocks(chosen, length=batch.length, separate_documents=batch.separate_documents)
    return objective.corrupt(text, prepared.vocab, rng.generator("validation"))
