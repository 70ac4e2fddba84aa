"""How much of a batch goes through the network at once: it bounds memory and changes no result."""

from collections.abc import Iterator

TOKENS_AT_ONCE = 16_384  # of one forward pass
LOGITS_AT_ONCE = 2**25  # the same, where the whole vocabulary is looked at


def parts(count: int, length: int) -> Iterator[slice]:
    """Yield slices of `count` rows of `length` tokens that fit into one forward pass."""
    step = max(1, TOKENS_AT_ONCE // length)
    return (slice(start, start + step) for start in range(0, count, step))
