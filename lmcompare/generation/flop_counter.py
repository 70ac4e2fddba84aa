"""What a model is asked for while an objective uses it: forward passes and their operations."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lmcompare.objectives.network import Cache, LanguageModel
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Candidates


@dataclass
class Cost:
    """Forward passes, the positions in them, and the operations of their matrix products."""

    passes: int = 0
    positions: int = 0
    flops: int = 0


class Meter:
    """A model, and what it was asked for: to be given to an objective in its place."""

    def __init__(self, net: LanguageModel):
        self.net = net
        self.cost = Cost()

    @property
    def device(self) -> torch.device:
        """Return where the model computes."""
        return self.net.device

    def log_prob(self, view: View, *, among: Candidates | None = None) -> Float[Tensor, "B T"]:
        """Do as `LanguageModel.log_prob`."""
        self._count(view, view.target != IGNORE)
        return self.net.log_prob(view, among=among)

    def logits(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
        """Do as `LanguageModel.logits`."""
        self._count(view, wanted)
        return self.net.logits(view, wanted)

    def cache(self, view: View, *, capacity: int) -> Cache:
        """Do as `LanguageModel.cache`; reading the source is counted with the first pass."""
        return self.net.cache(view, capacity=capacity)

    def extend(
        self, cache: Any, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N V"]:
        """Do as `LanguageModel.extend`."""
        self._count(view, wanted, cache)
        return self.net.extend(cache, view, wanted)

    def states_after(
        self, cache: Any, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N D"]:
        """Do as `LanguageModel.states_after`; what `predict` computes is not counted here."""
        self._count(view, wanted, cache)
        states = self.net.states_after(cache, view, wanted)
        self.cost.flops -= self.net.head_flops(len(states))
        return states

    def predict(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Do as `LanguageModel.predict`."""
        self.cost.flops += self.net.head_flops(len(states))
        return self.net.predict(states)

    def _count(
        self, view: View, wanted: Bool[Tensor, "B T"] | None, cache: Any | None = None
    ) -> None:
        chosen = torch.ones_like(view.visible) if wanted is None else wanted.to(view.visible.device)
        view = view.predicting(view.tokens.where(chosen, IGNORE), view.weight)
        self.cost.passes += 1
        self.cost.positions += view.tokens.numel()
        self.cost.flops += self.net.decoding_flops(view, cache)
