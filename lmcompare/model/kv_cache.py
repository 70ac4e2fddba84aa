"""What a model has read of some rows: keys and values of each layer, with order and visibility.

With these, the rule of `view.sees` says who sees whom of what was read before and what is read now,
whatever the pattern: causal, prefix, permuted and encoder-decoder models decode by the same code.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Int
from torch import Tensor

from lmcompare.model.attention_mask import EncodedSource
from lmcompare.model.config import ModelConfig
from lmcompare.model.decode_layer import DecodeHead, DecodeLayer, DecodePosition
from lmcompare.model.layer import Layer
from lmcompare.view import View, sees


class KVCache:
    """Room for `capacity` positions of each row, C; nothing is allocated again.

    Args:
        config: the shape of the model.
        layers: of the stack that predicts, from the first.
        head: what follows the last of them.
        num_rows: B.
        capacity: C.
        dtype: of the keys and values that are kept.
        device: where they are kept.
        source: what an encoder has read for these rows.
    """

    def __init__(
        self,
        config: ModelConfig,
        layers: Iterable[Layer],
        head: DecodeHead,
        *,
        num_rows: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
        source: EncodedSource | None = None,
    ):
        self._config = config
        self.head = head
        self.source = source
        self.length = 0  # positions that were kept
        self.order = torch.zeros(num_rows, capacity, dtype=torch.int64, device=device)
        self.visible = torch.zeros(num_rows, capacity, dtype=torch.bool, device=device)
        shape = (config.depth, 2, num_rows, config.heads, capacity, config.head_width)
        self._room = torch.empty(shape, dtype=dtype, device=device)
        self.layers = [  # from the first
            DecodeLayer(layer, room, source) for layer, room in zip(layers, self._room, strict=True)
        ]
        # what a position must reach to see all that is kept; None where some of it is hidden
        self._open_from: Int[Tensor, "B 1"] | None = self.order.new_full((num_rows, 1), -1)

    def keep(self, view: View) -> DecodePosition:
        """Count the keys of `view` among what is kept, and return where it stands.

        Raises:
            ValueError: there is no room for them.
        """
        known, num_keys = self.length, view.num_keys
        stop = known + num_keys
        if stop > self.order.shape[1]:
            raise ValueError(f"a cache of {self.order.shape[1]} positions has no room for {stop}")
        order, visible = view.order, view.visible
        if num_keys < order.shape[1]:
            order, visible = order[:, :num_keys], visible[:, :num_keys]
        self.order.narrow(1, known, num_keys).copy_(order)
        self.visible.narrow(1, known, num_keys).copy_(visible)
        self.length = stop
        if self._open_from is not None:
            highest = order.amax(1, keepdim=True).maximum(self._open_from)
            self._open_from = highest if bool(visible.all()) else None
        allowed = None
        hinted = known == 0 and view.hint is not None
        open_to_all = self._open_from is not None and bool((view.order >= self._open_from).all())
        if not hinted and not open_to_all:
            allowed = sees(view.order, self.order[:, :stop], self.visible[:, :stop])
        return DecodePosition.of(view, self._config, self._room.dtype, known=known, sees=allowed)

    @torch.inference_mode()
    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Let each row continue from what another one of its text has read, of the same source."""
        self.order = self.order[rows]
        self.visible = self.visible[rows]
        if self._open_from is not None:
            self._open_from = self._open_from[rows]
        self._room[..., : self.length, :] = self._room[:, :, rows, :, : self.length]
