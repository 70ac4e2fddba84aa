"""Who sees whom, in blocks: what FlexAttention (Dong et al. 2024) wants to know of a view.

Whether a block of queries may look at a block of keys follows from the lowest and the highest order
(and document) in each, so the square of all pairs is never laid out, and no device is waited for.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import pad

SIZE = 128  # of a block, in positions
FAR = 2**40  # beyond any order


def block_mask(
    order: Int[Tensor, "B Q"],
    key_order: Int[Tensor, "B K"],
    key_visible: Bool[Tensor, "B K"],
    document: Int[Tensor, "B Q"] | None = None,
    key_document: Int[Tensor, "B K"] | None = None,
) -> BlockMask:
    """Return the rule of `view.sees`, of the same arguments."""
    first, last = _lowest(order), _highest(order)
    seen_from = _lowest(key_order.masked_fill(~key_visible, FAR))
    seen_by_all_from = _highest(key_order.masked_fill(~key_visible, FAR), beyond=FAR)
    some = seen_from[:, None] <= last[:, :, None]
    whole = seen_by_all_from[:, None] <= first[:, :, None]
    if document is not None and key_document is not None:
        first, last = _lowest(document), _highest(document)
        lowest, highest = _lowest(key_document), _highest(key_document)
        some &= (lowest[:, None] <= last[:, :, None]) & (highest[:, None] >= first[:, :, None])
        whole &= (lowest[:, None] == last[:, :, None]) & (highest[:, None] == first[:, :, None])

    def allowed(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        sees = (key_order[row, key] <= order[row, query]) & key_visible[row, key]
        if document is not None and key_document is not None:
            sees = sees & (key_document[row, key] == document[row, query])
        return sees

    return BlockMask.from_kv_blocks(
        *_listed(some & ~whole),
        *_listed(whole),
        BLOCK_SIZE=SIZE,
        mask_mod=allowed,
        seq_lengths=(order.shape[1], key_order.shape[1]),
    )


def _lowest(values: Int[Tensor, "B T"]) -> Int[Tensor, "B N"]:
    """Return the least in each block."""
    return _blocks(values, FAR).amin(2)


def _highest(values: Int[Tensor, "B T"], *, beyond: int = -FAR) -> Int[Tensor, "B N"]:
    """Return the most in each block; a last one that is short is filled up with `beyond`."""
    return _blocks(values, beyond).amax(2)


def _blocks(values: Int[Tensor, "B T"], beyond: int) -> Int[Tensor, "B N S"]:
    longer: Tensor = pad(values, (0, -values.shape[1] % SIZE), value=beyond)
    return longer.view(len(values), -1, SIZE)


def _listed(
    chosen: Bool[Tensor, "B Q K"],
) -> tuple[Int[Tensor, "B 1 Q"], Int[Tensor, "B 1 Q K"]]:
    """Return how many key blocks each query block has chosen, and all, the chosen ones first."""
    number = chosen.int()
    listed = number.argsort(dim=2, descending=True, stable=True).int()
    return number.sum(2, dtype=torch.int32)[:, None], listed[:, None]
