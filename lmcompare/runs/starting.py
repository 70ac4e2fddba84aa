"""The weights that a run starts from where they are another model's, of which it keeps a copy."""

from collections.abc import Mapping

import torch
from safetensors.torch import load_file
from torch import Tensor

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.runs.run import Run

EMBEDDING = "embedding"


def first_weights(run: Run) -> dict[str, Tensor] | None:
    """Return the weights of another model that a run began with; None where it began anew.

    Raises:
        UserError: the copy of them is missing or damaged.
    """
    start = run.record().start
    if start is None:
        return None
    file = run.start_file
    if not file.exists():
        raise UserError(f"{file}, the weights that the run began with, is missing: bring it back")
    with files.reading(file):
        same = files.checksum(file) == start.weights
    if not same:
        raise UserError(
            f"{file}, the weights that the run began with, has changed: bring it back from a copy"
        )
    return load_file(file)


@torch.no_grad()
def fill(net: Backbone, weights: Mapping[str, Tensor]) -> None:
    """Give a new network the weights of a model of its shape.

    Ids above those that the model had get the mean of its rows (Hewitt 2021, Initializing New Word
    Embeddings for Pretrained Language Models).

    Args:
        net: of any weights.
        weights: by parameter name; the embedding may have fewer rows than the network's.
    """
    known = weights[EMBEDDING]
    new = known.mean(0, keepdim=True).expand(net.vocab_size - len(known), -1)
    net.load_state_dict({**weights, EMBEDDING: torch.cat([known, new])})
