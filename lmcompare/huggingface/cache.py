"""What a model of Hugging Face has read of some rows."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcompare.huggingface.framing import Framed
from lmcompare.view import View, sees


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
        self._order: Int[Tensor, "B L"] | None = None  # who sees whom, where that is known
        self._told = False  # whether the model must be told it
        self._tokens: Int[Tensor, "B L"] = torch.zeros(0, 0, dtype=torch.long)

    @property
    def length(self) -> int:
        """Return how many columns were read."""
        return self.mask.shape[1]

    def follows(self, view: View) -> bool:
        """Tell whether columns come after all that was read, and see all of it."""
        if self._order is None:
            return bool(view.visible.all())
        above = self._order.amax(1, keepdim=True)
        rising = torch.cat([above, view.order], dim=1).diff(dim=1) > 0
        return bool(view.visible.all()) and bool(rising.all())

    def keep(self, framed: Framed, *, takes_positions: bool) -> dict[str, Any]:
        """Count new columns among what was read; return who sees whom, and where they stand.

        Args:
            framed: the columns; with a table of who sees whom, if the model must be told.
            takes_positions: whether the model is told positions, or counts them itself.
        """
        size = framed.tokens.shape[1]
        self._told |= framed.sees is not None
        if self.length == 0:
            self._order, self.mask = framed.order, framed.mask
        else:
            self.mask = torch.cat([self.mask, framed.mask], dim=1)
            if self._order is not None and framed.order is not None:
                self._order = torch.cat([self._order, framed.order], dim=1)
        given: dict[str, Any] = {"attention_mask": self.mask.long()}
        if self._told and self._order is not None:
            allowed = sees(self._order[:, -size:], self._order, self.mask)
            given = {"attention_mask": as_added(allowed), "position_ids": framed.position}
        elif takes_positions:
            position = (self.mask.long().cumsum(1) - 1).clamp(min=0)
            given["position_ids"] = position[:, -size:]
        if self.source is not None:
            given["encoder_hidden_states"] = self.source
            given["encoder_attention_mask"] = self.source_mask.long()
        return given

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
        if self._order is not None:
            self._order = self._order[rows]
        if self.source is not None:
            self.source, self.source_mask = self.source[rows], self.source_mask[rows]


def as_added(allowed: Bool[Tensor, "B T S"]) -> Float[Tensor, "B 1 T S"]:
    """Return who sees whom as what transformers adds to scores; who sees nobody, sees all.

    What those say is of no account, and no number would spread.
    """
    allowed = allowed | ~allowed.any(2, keepdim=True)
    added = torch.zeros(allowed.shape, device=allowed.device)
    return added.masked_fill(~allowed, torch.finfo(added.dtype).min)[:, None]
