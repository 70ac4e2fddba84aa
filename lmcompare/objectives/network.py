"""What an objective may ask of a model."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.view import View
from lmcompare.vocab import Candidates


@runtime_checkable
class Network(Protocol):
    """What an objective may ask of a model in order to score."""

    def log_prob(self, view: View, *, among: Candidates | None = None) -> Float[Tensor, "B T"]:
        """Return the natural log-probability of each target, float32; 0 where there is none.

        Args:
            view: what is read.
            among: what may be predicted; any id by default.
        """

    def logits(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
        """Return what each wanted position of `view` predicts, unnormalised."""


@runtime_checkable
class Cache(Protocol):
    """What a network has read of some rows."""

    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Let each row continue from what another one has read."""


@runtime_checkable
class Writer(Network, Protocol):
    """What an objective may ask of a model in order to write."""

    @property
    def device(self) -> torch.device:
        """Return where it computes."""

    def cache(self, view: View, *, capacity: int) -> Cache:
        """Return an empty cache for the rows of `view`, whose source, if any, has been read."""

    def extend(
        self, cache: Any, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N V"]:
        """Return what wanted positions predict, unnormalised, after what is in the cache.

        Its visible positions are then in the cache too.
        """

    def states_after(
        self, cache: Any, view: View, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N D"]:
        """Return the normalised states of the wanted positions, from which `predict` predicts.

        As `extend` otherwise.
        """

    def predict(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Return what normalised states predict, unnormalised."""
