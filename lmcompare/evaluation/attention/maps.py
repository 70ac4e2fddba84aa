"""Reading attention, one layer at a time: a map has a number for each two tokens of each head."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from lmcompare.data import Encoded
from lmcompare.errors import UserError
from lmcompare.evaluation.windows import Window, stack
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text, View

PAIRS_AT_ONCE = 2**20  # of two tokens, over all rows; bounds memory, changes no result

Found = TypeVar("Found")


def batches(model: LoadedModel, documents: Sequence[Encoded]) -> Iterator[tuple[list[int], Text]]:
    """Yield rows that are read together, with their numbers; the longest come first.

    Each is begun by the start token, and cut at the end of the rows that the model was trained on.
    """
    room = model.length - 1
    sizes = [min(len(each), room) for each in documents]
    order = sorted(range(len(documents)), key=lambda each: -sizes[each])
    while order:
        length = 1 + sizes[order[0]]
        num = max(1, min(model.net.rows_at_once(length), PAIRS_AT_ONCE // length**2))
        some, order = order[:num], order[num:]
        whole = [
            Window(document=row, start=0, stop=sizes[each], first=0, last=0)
            for row, each in enumerate(some)
        ]
        yield some, stack(whole, [documents[each] for each in some], model.tokenizer.vocab)[0]


def layer_by_layer(
    model: LoadedModel, view: View, work: Callable[[Float[Tensor, "B H T T"]], Found]
) -> dict[int, Found]:
    """Return what is made of the weights of each layer, by its number; no two are kept at once.

    Raises:
        UserError: a weight is no number.
    """
    found = {}
    for layer, weights in model.net.attention_maps(view):
        if not bool(torch.isfinite(weights).all()):
            raise UserError(
                f"layer {layer} of {model.path} has attention that is no number (NaN or infinite), "
                "as after a training that diverged: leave the run out, or train it again"
            )
        found[layer] = work(weights)
        del weights  # before those of the next layer are computed
    return found
