"""Where tokens stand and who sees whom, in the form in which kernels take it.

The two patterns with a hint need no mask. For the rest a processor, and a GPU for short rows, is
given the mask itself, and a GPU for long ones the same rule as blocks (see `blocks`). Positions at
the end that nobody may look at are no keys.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from lmcompare.model.block_mask import block_mask
from lmcompare.model.config import ModelConfig
from lmcompare.model.prefix_sharing import Beginnings
from lmcompare.view import View

LONG = 512  # positions from which a GPU takes blocks


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
        num_keys = view.num_keys
        if view.hint is None and _in_blocks(view):
            keys = view.columns(slice(num_keys))
            blocks = block_mask(view.order, keys.order, keys.visible, view.document, keys.document)
        elif view.hint is None:
            mask, blind = mask_of(view.sees()[:, :, :num_keys], dtype)
        elif view.hint == "causal" and view.tokens.device.type != "cpu":
            num_keys = view.tokens.shape[1]  # the fast kernels want as many keys as queries
        return Pattern(
            cos=angle.cos().to(dtype),
            sin=angle.sin().to(dtype),
            num_keys=num_keys,
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
    blocks: BlockMask | None = None

    @staticmethod
    def of(view: View, states: Float[Tensor, "B _ D"]) -> "Source":
        """The source of `view`, of which these are the states."""
        assert view.source is not None
        num_keys = view.source.num_keys
        mask = blind = blocks = None
        if view.source.hint != "full" and _in_blocks(view.source):
            keys, all_see = view.source.columns(slice(num_keys)), torch.zeros_like(view.order)
            blocks = block_mask(
                all_see,
                torch.zeros_like(keys.order),
                keys.visible,
                view.document,
                keys.document,
            )
        elif view.source.hint != "full":
            mask, blind = mask_of(view.sees_source()[:, :, :num_keys], states.dtype)
        return Source(states=states[:, :num_keys], mask=mask, blind=blind, blocks=blocks)


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


def _in_blocks(view: View) -> bool:
    """Whether skipping what nobody sees pays here, and there is a kernel for it."""
    return view.tokens.device.type == "cuda" and view.tokens.shape[1] >= LONG


def mask_of(
    sees: Bool[Tensor, "B T S"], dtype: torch.dtype
) -> tuple[Float[Tensor, "B 1 T S"] | None, Bool[Tensor, "B T 1"] | None]:
    """Minus infinity where nobody may look, and who may look at nothing.

    On a processor None where it is idle; to find that out would have another device be waited for.
    """
    on_processor = sees.device.type == "cpu"
    if on_processor and bool(sees.all()):
        return None, None
    blind = ~sees.any(2, keepdim=True)
    # A softmax over nothing is no number: the blind see all here, and get zeros afterwards.
    mask = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    mask.masked_fill_(~(sees | blind), -torch.inf)
    return mask[:, None], None if on_processor and not bool(blind.any()) else blind
