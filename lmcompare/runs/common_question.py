"""The question that every objective is asked while it trains: one hidden token of each text.

Losses on an objective's own targets do not compare with those of another objective; answers to one
question about the same tokens do. It is a cheap form of what `lmcompare eval --tasks infilling`
asks: one token of a text is hidden and its length is told, so that all protocols are one, and the
answer takes one pass. Which texts and which tokens depends on the held-out text alone. An objective
that can make use of both sides of the token does so; one that reads from left to right answers from
the left side, as both would take it a pass for each token of its vocabulary.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lmcompare import rng
from lmcompare.config.run import RunConfig
from lmcompare.data import Split
from lmcompare.errors import Unsupported
from lmcompare.objectives import Objective
from lmcompare.objectives.network import Network
from lmcompare.view import Text
from lmcompare.vocab import Vocab

LENGTH = 33  # tokens of a text, the start token included: as `eval --tasks infilling` by default
TEXTS_A_BLOCK = 8  # for each block of `validation.blocks`


@dataclass(frozen=True, kw_only=True)
class CommonQuestion:
    """Texts, each with one hidden token.

    Attributes:
        texts: rows.
        hidden: the token of each row that is asked for.
    """

    texts: Text
    hidden: Bool[Tensor, "B T"]

    @staticmethod
    def drawn(config: RunConfig, split: Split, vocab: Vocab) -> "CommonQuestion":
        """Return what a run is asked: texts that lie evenly over the held-out text.

        Args:
            config: of the run.
            split: the held-out text, of at least one block.
            vocab: which ids are text.
        """
        length = length_of(config)
        num_blocks = split.num_blocks(length)
        num_chosen = min(num_blocks, TEXTS_A_BLOCK * config.validation.blocks)
        chosen = np.linspace(0, num_blocks - 1, num_chosen).astype(np.int64)
        texts = split.blocks(
            chosen, length=length, separate_documents=config.batch.separate_documents
        )
        candidates = ~vocab.is_special(texts.tokens)
        keys = torch.rand(candidates.shape, generator=rng.generator("common question"))
        first = keys.masked_fill(~candidates, -1.0).argmax(1)
        hidden = (torch.arange(length) == first[:, None]) & candidates
        rows = hidden.any(1).nonzero()[:, 0]  # without those that hold no text
        return CommonQuestion(texts=texts.rows(rows), hidden=hidden[rows])

    def answer(
        self, objective: Objective, net: Network, vocab: Vocab, *, rows_at_once: int
    ) -> float | None:
        """Return minus the mean log-probability of the hidden tokens, in nats.

        Args:
            objective: how the network may be asked.
            net: the network.
            vocab: which ids are text.
            rows_at_once: texts of one pass.

        Returns:
            None where the objective cannot answer, or nothing is asked.
        """
        scoring = scoring_of(objective)
        if scoring is None or not len(self.hidden):
            return None
        total = 0.0
        try:
            for rows in torch.arange(len(self.hidden)).split(rows_at_once):
                found = objective.score(
                    net, self.texts.rows(rows), vocab, self.hidden[rows], scoring=scoring
                )
                total += float(found.double().sum())
        except Unsupported:
            return None
        return -total / len(self.hidden)


def length_of(config: RunConfig) -> int:
    """Return how many tokens a text has, the start token included."""
    return min(LENGTH, config.batch.length)


def scoring_of(objective: Objective) -> str | None:
    """Return the scoring by which an objective answers; None if it has none that takes one pass.

    What training prepared it for comes first, then what makes use of both sides.
    """
    ways = {
        name: how
        for name, how in objective.scorings.items()
        if "holes" in how.answers and how.form == "told" and not (how.weighs_all or how.sampled)
    }
    share = 1 / (LENGTH - 1)
    return min(
        ways,
        key=lambda name: (ways[name].is_new(share), ways[name].given == "left"),
        default=None,
    )


def given_to(objective: Objective) -> Literal["left", "both"] | None:
    """Return which side of a hidden token an answer makes use of; None if there is no answer."""
    scoring = scoring_of(objective)
    return None if scoring is None else objective.scorings[scoring].given
