"""What is to be learned from labelled examples: rows of tokens, and what is to be said of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from lmcompare import rng
from lmcompare.data import Encoded
from lmcompare.evaluation.tasks.options import Pooling
from lmcompare.runs.loaded_model import LoadedModel

BATCH = 16  # rows of a step
POOL = 20  # batches that are sorted by length together, so that little is padded


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledRow:
    """A text, and what is to be known of it.

    Attributes:
        document: its tokens, without the start token; at least one, at most a row's.
        spans: for each output the positions that it is about, 0 being the start token; none is
            empty, and each begins after the end of the one before.
        target: what is to be said of each span, or of the row.
    """

    document: Encoded
    spans: Sequence[range]
    target: Sequence[int] = ()


Outputs = list[Float[Tensor, "K O"]]  # of each row: of its spans


@dataclass(frozen=True, kw_only=True)
class FineTuneSpec:
    """What is to be learned.

    Attributes:
        name: of the task.
        train: rows to learn from.
        validation: rows that choose the settings.
        num_outputs: of the head.
        poolings: from which validation chooses how a span's states become one, in the order that
            settles ties; () where each span is one token.
        probed: a head is fitted to the unchanged states first, and fine-tuning starts from it; for
            lessons of one span a row, as the states of all training rows are held at once.
        loss: of the outputs for the spans of some rows, N O, one after another: a mean in nats.
        judge: how good the outputs for the validation rows are; more is better.
    """

    name: str
    train: Sequence[LabelledRow]
    validation: Sequence[LabelledRow]
    num_outputs: int
    poolings: Sequence[Pooling]
    probed: bool
    loss: Callable[[Float[Tensor, "N O"], Sequence[LabelledRow]], Float[Tensor, ""]]
    judge: Callable[[Outputs], float]


def joined(parts: Sequence[Encoded], model: LoadedModel) -> Encoded:
    """Join texts by end tokens, to be read one after another; without any, return an end token.

    The end token covers no bytes.
    """
    end = special([model.tokenizer.vocab.eos])
    between = [each for part in parts if len(part) for each in (end, part)]
    return Encoded.join(between[1:] or [end])


def special(ids: list[int]) -> Encoded:
    """Return tokens that cover no bytes, each a word of its own."""
    return Encoded(
        ids=np.array(ids, dtype=np.int32),
        bytes=np.zeros(len(ids), dtype=np.int32),
        starts_word=np.ones(len(ids), dtype=bool),
    )


def room(model: LoadedModel) -> int:
    """Return tokens of the rows that a model was trained on, beside the start token."""
    return model.length - 1


def mean_cross_entropy(
    outputs: Float[Tensor, "N O"], rows: Sequence[LabelledRow]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of the targets, one for each span."""
    target = torch.tensor([each for row in rows for each in row.target], device=outputs.device)
    return cross_entropy(outputs, target)


def batches(rows: Sequence[LabelledRow], *, name: str) -> Iterator[list[LabelledRow]]:
    """Yield rows in random order without end, each once an epoch, those of one batch about as long.

    Args:
        rows: to learn from.
        name: of the task; it, the number of rows and their bytes decide the order.
    """
    sizes = [int(row.document.bytes.sum()) for row in rows]
    epoch = 0
    while True:
        draws = rng.generator("tuning", name, len(rows), epoch)
        order = torch.randperm(len(rows), generator=draws).tolist()
        found = []
        for start in range(0, len(rows), POOL * BATCH):
            pool = sorted(order[start : start + POOL * BATCH], key=sizes.__getitem__)
            found += [pool[first : first + BATCH] for first in range(0, len(pool), BATCH)]
        for number in torch.randperm(len(found), generator=draws).tolist():
            yield [rows[each] for each in found[number]]
        epoch += 1
