"""The control sheet of a run: hashes of what it reads and what it starts from.

What it is to read is known at its start; what it did read is hashed as it goes.
"""

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np
from torch import Tensor

from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared, shuffled
from lmcompare.model import Backbone
from lmcompare.runs.records import ControlSheet


def control_sheet(config: RunConfig, prepared: Prepared, net: Backbone) -> ControlSheet:
    """Return the hashes of what a run reads and starts from."""
    text = prepared.split("train")
    batch = config.batch
    num_blocks = text.num_blocks(batch.length)
    first = shuffled(np.arange(10_000), num_blocks=num_blocks, seed=config.seed)
    order = f"{text.hash} {batch.rows} {batch.length} {batch.separate_documents}".encode()
    return ControlSheet(
        text=text.hash,
        order=_hash(order + first.tobytes()),
        tokenizer=prepared.tokenizer.hash,
        weights={
            name: _hash(parameter.detach().cpu().numpy().tobytes())
            for name, parameter in net.named_parameters()
        },
    )


class ReadSoFar:
    """A hash of all that a run read, step by step, which continues from where it was saved.

    Kept at powers of two and at the last step, so that runs of different length can be compared
    over the steps that they share.
    """

    def __init__(self, saved: Mapping[int, str] | None) -> None:
        """Continue from what was saved; None if that is not known, and will not be."""
        self._marks = None if saved is None else dict(saved)

    def add(self, step: int, tokens: Tensor) -> None:
        """Add what a step, counted from 1, read."""
        if self._marks is not None:
            before = self._marks.pop(step - 1, "")
            if (step - 1).bit_count() == 1:
                self._marks[step - 1] = before
            content = tokens.cpu().numpy().astype("<i4").tobytes()
            self._marks[step] = blake2b(before.encode() + content, digest_size=16).hexdigest()

    @property
    def marks(self) -> dict[int, str] | None:
        """Return the hashes to save, by step."""
        return None if self._marks is None else dict(self._marks)


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()
