"""What a model has read of some rows: keys and values of each layer, with order and visibility.

With these, the rule of `view.sees` says who sees whom of what was read before and what is read now,
whatever the pattern: causal, prefix, permuted and encoder-decoder models decode by the same code.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcompare.model.incremental import IncrementalHead, IncrementalLayer
from lmcompare.model.pattern import Source
from lmcompare.view import View, sees

if TYPE_CHECKING:
    from lmcompare.model.backbone import Backbone
    from lmcompare.model.layer import Layer


class Cache:
    """Room for `capacity` positions of each row, C; nothing is allocated again."""

    def __init__(
        self,
        net: "Backbone",
        *,
        num_rows: int,
        capacity: int,
        dtype: torch.dtype,
        source: Source | None = None,
    ):
        config, device = net.config, net.device
        self.source = source
        self.length = 0  # positions that were kept
        self.order = torch.zeros(num_rows, capacity, dtype=torch.int64, device=device)
        self.visible = torch.zeros(num_rows, capacity, dtype=torch.bool, device=device)
        shape = (config.depth, 2, num_rows, config.heads, capacity, config.head_width)
        self._room = torch.empty(shape, dtype=dtype, device=device)
        layers = cast("Iterable[Layer]", net.layers)
        self.layers = [  # from the first
            IncrementalLayer(layer, room, source)
            for layer, room in zip(layers, self._room, strict=True)
        ]
        self.head = IncrementalHead(net)
        # what a position must reach to see all that is kept; None where some of it is hidden
        self._open_from: Int[Tensor, " B"] | None = self.order.new_full((num_rows,), -1)

    def sees(self, view: View) -> Bool[Tensor, "B T S"] | None:
        """Whether each position of `view` may look at what is kept, and at the view's own keys.

        None if there is one position, and it sees all.
        """
        if view.tokens.shape[1] == 1 and self._open_from is not None:
            last = view.order[:, 0]
            if bool(((last >= self._open_from) & view.visible[:, 0]).all()):
                return None
        order = torch.cat([self.order[:, : self.length], view.order[:, : view.num_keys]], dim=1)
        visible = [self.visible[:, : self.length], view.visible[:, : view.num_keys]]
        return sees(view.order, order, torch.cat(visible, dim=1))

    def keep(self, view: View) -> None:
        """Count the keys of `view` among what is kept.

        Raises:
            ValueError: there is no room for them.
        """
        stop = self.length + view.num_keys
        if stop > self.order.shape[1]:
            raise ValueError(f"a cache of {self.order.shape[1]} positions has no room for {stop}")
        order, visible = view.order[:, : view.num_keys], view.visible[:, : view.num_keys]
        self.order[:, self.length : stop] = order
        self.visible[:, self.length : stop] = visible
        self.length = stop
        if self._open_from is not None:
            highest = order.amax(1).maximum(self._open_from)
            self._open_from = highest if bool(visible.all()) else None

    @torch.inference_mode()
    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Each row goes on from what another one had read; for beams, which share their source."""
        self.order = self.order[rows]
        self.visible = self.visible[rows]
        if self._open_from is not None:
            self._open_from = self._open_from[rows]
        self._room[..., : self.length, :] = self._room[:, :, rows, :, : self.length]
