"""Where tokens stand and who sees whom, in the form in which kernels take it.

The two patterns with a hint need no mask. For the rest a processor is given the mask itself, and a
GPU the same rule as a FlexAttention block mask (Dong et al. 2024), which skips what nobody sees.
Positions at the end that nobody may look at are no keys.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from lmcompare.model.beginnings import Beginnings
from lmcompare.model.config import ModelConfig
from lmcompare.view import View


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Where tokens stand and who sees whom, as a kernel takes it; made once for all layers."""

    cos: Float[Tensor, "#B 1 T K2"]  # of each position's angles, K2 = K / 2
    sin: Float[Tensor, "#B 1 T K2"]
    num_keys: int  # S: only the first S positions are keys
    causal: bool = False
    mask: Float[Tensor, "B 1 T S"] | None = None  # 0, or minus infinity where nobody may look
    blind: Bool[Tensor, "B T 1"] | None = None  # who may look at nothing
    blocks: BlockMask | None = None
    beginnings: Beginnings | None = None

    @property  # a compiler cannot look into a cached one
    def turns(self) -> tuple[Float[Tensor, "*P 1 1 K2"], Float[Tensor, "*P 1 1 K2"]]:
        """Cosines and sines of the positions that are computed, as these come."""
        cos, sin = self.cos[:, 0], self.sin[:, 0]
        if self.beginnings is not None:
            place = self.beginnings.first % cos.shape[1]
            cos, sin = cos[0, place], sin[0, place]
        return cos[..., None, None, :], sin[..., None, None, :]

    @staticmethod
    def of(
        view: View,
        config: ModelConfig,
        dtype: torch.dtype,
        *,
        beginnings: Beginnings | None = None,
    ) -> "Pattern":
        """The pattern of `view` for the device it is on."""
        angle = angles(view, config)[:, None]
        mask = blind = blocks = None
        if view.hint is None and view.tokens.device.type == "cuda":
            blocks = _block_mask(view)
        elif view.hint is None:
            mask, blind = mask_of(view.sees()[:, :, : view.num_keys], dtype)
        return Pattern(
            cos=angle.cos().to(dtype),
            sin=angle.sin().to(dtype),
            num_keys=view.num_keys,
            causal=view.hint == "causal",
            mask=mask,
            blind=blind,
            blocks=blocks,
            beginnings=beginnings,
        )


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the encoder made of a view's source, and who sees what of it; one for all layers."""

    states: Float[Tensor, "B S D"]  # of those positions that are keys
    mask: Float[Tensor, "B 1 T S"] | None  # as in `Pattern`
    blind: Bool[Tensor, "B T 1"] | None

    @staticmethod
    def of(view: View, states: Float[Tensor, "B _ D"]) -> "Source":
        """The source of `view`, of which these are the states."""
        assert view.source is not None
        num_keys = view.source.num_keys
        mask = blind = None
        if view.source.hint != "full":  # if it is, there is no need to look, and wait for a GPU
            mask, blind = mask_of(view.sees_source()[:, :, :num_keys], states.dtype)
        return Source(states=states[:, :num_keys], mask=mask, blind=blind)


def angles(view: View, config: ModelConfig) -> Float[Tensor, "#B T K2"]:
    """How far each pair of a head's dimensions is turned at each position, in radians.

    Where the view has a second channel of positions, every second pair of dimensions turns by the
    sum of both, so that a text without spans is turned as ever. GLM (Du et al. 2022) adds two
    learned embeddings, and ChatGLM-6B gives each channel half of the dimensions; here what both
    channels say can be told apart linearly, while context keeps all frequencies.
    """
    half = config.head_width // 2
    place = view.position.unsqueeze(2)
    if view.within is not None:
        place = place + view.within[:, :, None] * (torch.arange(half, device=place.device) % 2)
    if place.device.type == "cpu" and len(place) > 1 and bool((place == place[:1]).all()):
        place = place[:1]  # all rows are numbered alike
    return place * _frequencies(half, config.rotary_base, place.device)


@cache
def _frequencies(half: int, base: float, device: torch.device) -> Float[Tensor, " K2"]:
    with torch.inference_mode(mode=False):  # what is kept must do for training too
        return base ** (-torch.arange(half, device=device).float() / half)


def mask_of(
    sees: Bool[Tensor, "B T S"], dtype: torch.dtype
) -> tuple[Float[Tensor, "B 1 T S"] | None, Bool[Tensor, "B T 1"] | None]:
    """Minus infinity where nobody may look, and who may look at nothing; None where it is idle."""
    if bool(sees.all()):
        return None, None
    blind = ~sees.any(2, keepdim=True)
    # A softmax over nothing is no number: the blind see all here, and get zeros afterwards.
    mask = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    mask.masked_fill_(~(sees | blind), -torch.inf)
    return mask[:, None], blind if bool(blind.any()) else None


def _block_mask(view: View) -> BlockMask:
    order, visible, document = view.order, view.visible, view.document

    def allowed(
        row: Int[Tensor, ""], head: Int[Tensor, ""], query: Int[Tensor, ""], key: Int[Tensor, ""]
    ) -> Tensor:
        sees = (order[row, key] <= order[row, query]) & visible[row, key]
        if document is not None:
            sees = sees & (document[row, key] == document[row, query])
        return sees

    num_rows, length = view.tokens.shape
    return create_block_mask(
        allowed, num_rows, None, length, view.num_keys, device=str(order.device)
    )
