"""What a batch costs: floating-point operations of its matrix products, as they are really done.

Two per multiply-add; a backward pass costs twice its forward pass. Element-wise work is not
counted, as is the custom (Kaplan et al. 2020; Chowdhery et al. 2022, appendix B). Unlike theirs,
attention is counted at what the kernels do (half of the square where it is causal, no keys where
nobody may look), and the output head and the last layer beyond its attention only where something
is predicted.
"""

from dataclasses import replace
from typing import Any

from lmcompare.model.config import ModelConfig
from lmcompare.view import View


def forward_flops(config: ModelConfig, vocab_size: int, view: View) -> int:
    """Count the operations of one forward pass over `view`, part by part, logits included."""
    parts = view.split(len(view.tokens))
    return 2 * sum(_multiplications(config, vocab_size, part) for part in parts)


def training_flops(config: ModelConfig, vocab_size: int, view: View) -> int:
    """Count the operations of one forward and backward pass over `view`."""
    return 3 * forward_flops(config, vocab_size, view)


def decoding_flops(
    config: ModelConfig, vocab_size: int, view: View, *, num_cached: int, num_source: int
) -> int:
    """Count the operations of a forward pass over `view` after what a cache holds.

    Args:
        config: the model.
        vocab_size: V.
        view: what is new; its targets are the positions whose logits are wanted. A source that it
            has is read too.
        num_cached: positions of each row that are in the cache.
        num_source: of a source that was read before: positions of each row.
    """
    slots = view.tokens.numel()
    total = _multiplications(config, vocab_size, view, masked=num_cached > 0)
    total += 2 * config.depth * config.width * slots * num_cached
    if view.source is None:
        crossing = 2 * config.width * slots * (config.width + num_source)
        total += config.depth * crossing if num_source else 0
    return 2 * total


def _multiplications(
    config: ModelConfig, vocab_size: int, view: View, *, masked: bool = False
) -> int:
    """Count those of one pass; where `masked`, what nobody may look at is multiplied too."""
    square, slots = config.width * config.width, view.tokens.numel()
    total = _stack(config, config.depth, view, masked=masked)
    total -= (slots - view.num_targets) * (square + 3 * config.width * config.ffn)
    total += view.num_targets * config.width * vocab_size
    if view.source is not None:
        total += _stack(config, config.encoder_layers, view.source)
        keys = view.source.num_keys
        cross = 2 * square * (slots + len(view.tokens) * keys) + 2 * config.width * slots * keys
        total += config.depth * cross
    return total


def _stack(config: ModelConfig, layers: int, view: View, *, masked: bool = False) -> int:
    """Count those of self-attention and feed-forward in `layers` layers, all positions."""
    num_rows, length = view.tokens.shape
    keys = view.num_keys
    hidden = keys * (keys - 1) // 2 if view.hint == "causal" and not masked else 0
    pairs = num_rows * (length * keys - hidden)
    each = 4 * config.width * config.width + 3 * config.width * config.ffn
    return layers * (each * num_rows * length + 2 * config.width * pairs)


class Counted:
    """What passes of a model of a certain shape cost."""

    config: ModelConfig
    vocab_size: int

    @property
    def width(self) -> int:
        """Return how many numbers a state has."""
        return self.config.width

    def decoding_flops(self, view: View, cache: Any | None = None) -> int:
        """Return the operations of a pass that predicts the targets of `view`, after a cache."""
        known, source = 0, 0
        if cache is not None:
            known = cache.length
            source = 0 if cache.source is None else cache.source.states.shape[1]
            if known:
                view = replace(view, source=None)  # was read with the first pass
        return decoding_flops(
            self.config, self.vocab_size, view, num_cached=known, num_source=source
        )

    def head_flops(self, num_states: int) -> int:
        """Return the operations of predicting from so many states."""
        return 2 * num_states * self.config.width * self.vocab_size
