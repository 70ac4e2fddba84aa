"""Where tokens stand and who sees whom, in the form in which kernels take it.

The two patterns with a hint need no bias. For the rest a processor, and a GPU for short rows, is
given the bias that is added to all scores, and a GPU for long rows the same rule in blocks (see
`block_mask`). Positions at the end that nobody may look at are not taken as keys.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from lmcompare.model.block_mask import block_mask
from lmcompare.model.config import ModelConfig
from lmcompare.model.prefix_sharing import PrefixSharing
from lmcompare.view import View

LONG = 512  # positions from which a GPU takes blocks


@dataclass(frozen=True, kw_only=True)
class AttentionMask:
    """Tell a kernel where tokens stand and who sees whom; made once for all layers."""

    cos: Float[Tensor, "#B 1 T K2"]  # of each position's angles, K2 = K / 2
    sin: Float[Tensor, "#B 1 T K2"]
    num_keys: int  # S: only the first S positions are keys
    causal: bool = False
    bias: Float[Tensor, "B 1 T S"] | None = None  # 0, or minus infinity where nobody may look
    sees_nothing: Bool[Tensor, "B T 1"] | None = None  # has nothing to look at
    blocks: BlockMask | None = None
    prefixes: PrefixSharing | None = None

    @property  # a compiler cannot look into a cached one
    def rotation(self) -> tuple[Float[Tensor, "*P 1 1 K2"], Float[Tensor, "*P 1 1 K2"]]:
        """Return cosines and sines of the positions that are computed, in their order."""
        cos, sin = self.cos[:, 0], self.sin[:, 0]
        if self.prefixes is not None:
            column = self.prefixes.computed % cos.shape[1]
            cos, sin = cos[0, column], sin[0, column]
        return cos[..., None, None, :], sin[..., None, None, :]

    @staticmethod
    def of(
        view: View,
        config: ModelConfig,
        dtype: torch.dtype,
        *,
        prefixes: PrefixSharing | None = None,
    ) -> "AttentionMask":
        """Return the mask of `view` for the device it is on."""
        angle = angles(view, config)[:, None]
        bias = sees_nothing = blocks = None
        num_keys = view.num_keys
        if view.hint is None and _in_blocks(view):
            keys = view.columns(slice(num_keys))
            blocks = block_mask(view.order, keys.order, keys.visible, view.document, keys.document)
        elif view.hint is None:
            bias, sees_nothing = bias_of(view.sees()[:, :, :num_keys], dtype)
        elif view.hint == "causal" and view.tokens.device.type != "cpu":
            num_keys = view.tokens.shape[1]  # the fast kernels want as many keys as queries
        return AttentionMask(
            cos=angle.cos().to(dtype),
            sin=angle.sin().to(dtype),
            num_keys=num_keys,
            causal=view.hint == "causal",
            bias=bias,
            sees_nothing=sees_nothing,
            blocks=blocks,
            prefixes=prefixes,
        )


@dataclass(frozen=True, kw_only=True)
class EncodedSource:
    """Hold the encoder's states of a view's source, and who sees which; one for all layers."""

    states: Float[Tensor, "B S D"]  # of those positions that are keys
    bias: Float[Tensor, "B 1 T S"] | None  # as in `AttentionMask`
    sees_nothing: Bool[Tensor, "B T 1"] | None
    blocks: BlockMask | None = None

    @staticmethod
    def of(view: View, states: Float[Tensor, "B _ D"]) -> "EncodedSource":
        """Return the source of `view`, whose states these are."""
        assert view.source is not None
        num_keys = view.source.num_keys
        bias = sees_nothing = blocks = None
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
            bias, sees_nothing = bias_of(view.sees_source()[:, :, :num_keys], states.dtype)
        return EncodedSource(
            states=states[:, :num_keys], bias=bias, sees_nothing=sees_nothing, blocks=blocks
        )


def angles(view: View, config: ModelConfig) -> Float[Tensor, "#B T K2"]:
    """Return how far each pair of a head's dimensions is turned at each position, in radians.

    Where the view has a second channel of positions, every second pair of dimensions turns by the
    sum of both, so that a text without spans is turned as ever. GLM (Du et al. 2022) adds two
    learned embeddings, and ChatGLM-6B gives each channel half of the dimensions; here what both
    channels say can be told apart linearly, while context keeps all frequencies.
    """
    half = config.head_width // 2
    position = view.position.unsqueeze(2)
    device = position.device
    if view.within is not None:
        position = position + view.within[:, :, None] * (torch.arange(half, device=device) % 2)
    if device.type == "cpu" and len(position) > 1 and bool((position == position[:1]).all()):
        position = position[:1]  # all rows are numbered alike
    return position * _frequencies(half, config.rotary_base, device)


@cache
def _frequencies(half: int, base: float, device: torch.device) -> Float[Tensor, " K2"]:
    with torch.inference_mode(mode=False):  # what is kept must do for training too
        return base ** (-torch.arange(half, device=device).float() / half)


def _in_blocks(view: View) -> bool:
    """Say whether skipping what nobody sees pays here, and there is a kernel for it."""
    return view.tokens.device.type == "cuda" and view.tokens.shape[1] >= LONG


def bias_of(
    sees: Bool[Tensor, "B T S"], dtype: torch.dtype
) -> tuple[Float[Tensor, "B 1 T S"] | None, Bool[Tensor, "B T 1"] | None]:
    """Return 0 or minus infinity to add to each score, and who has nothing to look at.

    On a processor, what would change nothing is None; on another device, to find that out would
    mean to wait for it.
    """
    on_processor = sees.device.type == "cpu"
    if on_processor and bool(sees.all()):
        return None, None
    sees_nothing = ~sees.any(2, keepdim=True)
    # A softmax over nothing is no number: who sees nothing sees all here, and gets zeros later.
    bias = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    bias.masked_fill_(~(sees | sees_nothing), -torch.inf)
    return bias[:, None], None if on_processor and not bool(sees_nothing.any()) else sees_nothing
