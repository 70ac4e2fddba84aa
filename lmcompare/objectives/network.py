"""What an objective may ask of a model."""

from collections.abc import Collection, Iterator
from typing import Any, Literal, Protocol, runtime_checkable

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
class Readable(Network, Protocol):
    """What a probe may ask of a model: its states, its attention, and what moves them.

    Of an encoder-decoder, a view with a source is about the decoder, and that source, given as the
    view, is about the encoder. Layers are numbered from the embedding, which is 0; the states of
    the last one are normalised, as the output head reads them, and all others are the residual
    stream as it is. What is yielded layer by layer is computed when it is asked for, on the
    model's device and in float32, and may be forgotten before the next. A view may be on another
    device.
    """

    def rows_at_once(self, length: int) -> int:
        """Return how many rows of `length` one view had best have; changes no result."""

    def hidden_states(
        self, view: View, layers: Collection[int] | None = None
    ) -> Iterator[tuple[int, Float[Tensor, "B T D"]]]:
        """Yield the number of each layer with its states, from the lowest, in one pass.

        Args:
            view: what is read.
            layers: which of them, from 0 on; all by default.

        Raises:
            UserError: there is no such layer.
        """

    def attention_maps(
        self, view: View, layers: Collection[int] | None = None, *, source: bool = False
    ) -> Iterator[tuple[int, Float[Tensor, "B H T S"]]]:
        """Yield the number of each layer with its attention's softmax weights, from the lowest.

        A row adds up to 1, and is 0 wherever `view.sees` says that a position does not look.

        Args:
            view: what is read.
            layers: which of them, from 1 on; all by default.
            source: whether to the source's S positions, rather than to the view's own.

        Raises:
            UserError: there is no such layer.
            ValueError: there is no source.
        """

    def gradient_influence(
        self,
        view: View,
        position: Int[Tensor, " B"],
        *,
        of: Literal["state", "log_prob"] = "state",
        source: bool = False,
    ) -> Float[Tensor, "B S"]:
        """Return how much the embedding of each token moves one position of its row.

        That is the norm of a gradient; of a state, that of all of its dimensions, each of which
        takes a pass.

        Args:
            view: what is read.
            position: one of each row.
            of: what of it: its state in the last layer, or the log-probability of its target.
            source: whether to return the influence of the source's S tokens, not the view's own.

        Raises:
            ValueError: there is no source, or no target at one of the positions.
        """


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


@runtime_checkable
class LanguageModel(Readable, Writer, Protocol):
    """All that an evaluation may ask of a model: it scores, writes and can be read.

    What learns from labelled examples copies it and trains the copy, and so takes a
    `torch.nn.Module` that is one.
    """

    batch_size: int | None  # rows of a pass without gradients; None: as many as suits the device

    @property
    def width(self) -> int:
        """Return how many numbers a state has."""

    def states(
        self, view: View, *, wanted: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "N D"]:
        """Return the normalised states of the wanted positions, in the order of the rows.

        Args:
            view: what is read.
            wanted: positions; all that are visible by default.
        """

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Yield its weights."""

    def decoding_flops(self, view: View, cache: Any | None = None) -> int:
        """Return the operations of a pass that predicts the targets of `view`, after a cache."""

    def head_flops(self, num_states: int) -> int:
        """Return the operations of predicting from so many states."""
