"""What a model of Hugging Face has read of some rows."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.view import View


class HfCache:
    """Keys and values in the cache of transformers, and which of its columns are padding.

    Attributes:
        keys: the cache of transformers.
        mask: of each column that was read, whether it is no padding.
        source: the states of what an encoder has read, B S D.
        source_mask: which of these are no padding.

    Args:
        decodes: whether an encoder has read a source.
    """

    def __init__(self, *, decodes: bool) -> None:
        from transformers import DynamicCache, EncoderDecoderCache

        self.keys: Any = DynamicCache()
        if decodes:
            self.keys = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self.mask: Bool[Tensor, "B L"] = torch.zeros(0, 0, dtype=torch.bool)
        self.source: Float[Tensor, "B S D"] | None = None
        self.source_mask: Bool[Tensor, "B S"] = torch.zeros(0, 0, dtype=torch.bool)
        self._tokens: Int[Tensor, "B L"] = torch.zeros(0, 0, dtype=torch.long)

    @property
    def length(self) -> int:
        """Return how many columns were read."""
        return self.mask.shape[1]

    def keep(self, mask: Bool[Tensor, "B S"]) -> None:
        """Count new columns among what was read."""
        self.mask = torch.cat([self.mask, mask], dim=1) if self.length else mask

    def with_columns(self, view: View) -> tuple[View, Int[Tensor, "B T"]]:
        """Return all that was read and the columns of `view`, and where in it these stand.

        They are then among what was read. For a model that keeps no keys.
        """
        known = self._tokens if self.length else view.tokens[:, :0]
        before = self.mask if self.length else view.visible[:, :0]
        self._tokens = torch.cat([known, view.tokens], dim=1)
        self.mask = torch.cat([before, view.visible], dim=1)
        packed = (~self.mask).long().argsort(dim=1, stable=True)
        visible = self.mask.gather(1, packed)
        whole = View.causal(self._tokens.gather(1, packed).cpu(), visible=visible.cpu())
        place = (self.mask.long().cumsum(1) - 1).clamp(min=0)
        return whole.to(view.tokens.device), place[:, -view.tokens.shape[1] :]

    @torch.inference_mode()
    def select(self, rows: Int[Tensor, " B"]) -> None:
        """Let each row continue from what another one of its text has read."""
        self.mask = self.mask[rows]
        if len(self._tokens):
            self._tokens = self._tokens[rows]
            return
        self.keys.batch_select_indices(rows)
        if self.source is not None:
            self.source, self.source_mask = self.source[rows], self.source_mask[rows]
