"""The states that a head reads: of clean text as the model's objective reads it, pooled.

Which pooling suits a model is not ours to say: a causal model may be read best at its last token or
by the mean of all, and so may any other. All models choose from one list.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from lmcompare.devices import DTYPES
from lmcompare.errors import Unsupported
from lmcompare.evaluation.supervised.spec import FineTuneSpec, LabelledRow, Outputs, special
from lmcompare.evaluation.tasks.options import Pooling
from lmcompare.evaluation.tasks.record import STATES_OF
from lmcompare.evaluation.windows import Window, stack
from lmcompare.objectives.network import LanguageModel
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import View

SMALLEST_SPREAD = 1e-3  # of a state over training rows; normalised states are about 1 in size


def poolings(model: LoadedModel, forced: Pooling | None) -> tuple[Pooling, ...]:
    """Return how the states of a text can become one, in the order that settles ties.

    `mean` is over all tokens, `last` is the last one, and `first` the start token, which sees
    nothing else in a model that reads from left to right: such a model is offered it like all
    others, and does not choose it. `encoder` is the mean of an encoder's states, where the states
    that are read otherwise are those of a decoder beside it.

    Args:
        model: whose states.
        forced: the only one that is wanted; None for all.

    Raises:
        Unsupported: the model does not have the one that is wanted.
    """
    found: tuple[Pooling, ...] = ("mean", "last", "first")
    if _example(model).source is not None:
        found = (*found, "encoder")
    if forced is None:
        return found
    if forced not in found:
        raise Unsupported(f"{model.objective.name} has no encoder beside what is read")
    return (forced,)


def which_stack(model: LoadedModel) -> Mapping[str, str]:
    """Return which part of a model of two parts the states are from; for a record's settings."""
    if not model.objective.encodes:
        return {}
    encoder = _example(model).source is None
    return {STATES_OF: "the encoder" if encoder else "the decoder"}


def _example(model: LoadedModel) -> View:
    """Return how five tokens are read."""
    vocab = model.tokenizer.vocab
    window = Window(document=0, start=0, stop=5, first=0, last=5)
    text, _ = stack([window], [special(vocab.regular[:5].tolist())], vocab)
    return model.objective.read(text, vocab)


class PooledStates(nn.Module):
    """The states of spans, pooled in one way.

    Args:
        model: whose objective reads the text.
        net: its model, or a copy.
        pooling: how; None where each span is one token.
    """

    def __init__(self, model: LoadedModel, net: LanguageModel, pooling: Pooling | None):
        super().__init__()
        self.net = net
        self.dtype = DTYPES[model.precision]  # to learn in
        self.pooling = pooling
        self._vocab = model.tokenizer.vocab
        self._read = partial(model.objective.read, vocab=self._vocab)

    def forward(self, rows: Sequence[LabelledRow]) -> Float[Tensor, "N D"]:
        """Return the state of each span, row by row."""
        whole = [
            Window(document=number, start=0, stop=len(row.document), first=0, last=0)
            for number, row in enumerate(rows)
        ]
        text, wanted = stack(whole, [row.document for row in rows], self._vocab)
        for number, row in enumerate(rows):
            wanted[number, [index for span in row.spans for index in self._places(span)]] = True
        view = self._read(text)
        if self.pooling == "encoder":
            assert view.source is not None
            view = view.source
        device = self.net.device
        states: Tensor = self.net.states(view.to(device), wanted=wanted.to(device)).float()
        if self.pooling not in ("mean", "encoder"):
            return states
        sizes = torch.tensor([len(span) for row in rows for span in row.spans], device=device)
        return torch.segment_reduce(states, "mean", lengths=sizes)

    def _places(self, span: range) -> range:
        if self.pooling in ("mean", "encoder"):
            return span
        return span[:1] if self.pooling == "first" else span[-1:]


class Head(nn.Module):
    """A linear map of standardised states; it says nothing before it has learned."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, num_outputs: int, *, device: torch.device):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_outputs, width, device=device))
        self.bias = nn.Parameter(torch.zeros(num_outputs, device=device))
        self.register_buffer("mean", torch.zeros(width, device=device))
        self.register_buffer("scale", torch.ones(width, device=device))

    @staticmethod
    def standardising(states: Float[Tensor, "N D"], num_outputs: int) -> "Head":
        """Return a head whose inputs vary alike over these states: means of many vary less."""
        head = Head(states.shape[1], num_outputs, device=states.device)
        head.mean = states.mean(0)
        head.scale = states.std(0, correction=0).clamp(min=SMALLEST_SPREAD)
        return head

    def forward(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N O"]:
        """Return the outputs, in float32."""
        states = ((states - self.mean) / self.scale).to(self.weight.dtype)
        return linear(states, self.weight, self.bias).float()


class HeadOnStates(nn.Module):
    """A head on the states of a model."""

    def __init__(self, states: PooledStates, head: Head):
        super().__init__()
        self.states = states
        self.head = head

    def forward(self, rows: Sequence[LabelledRow]) -> Float[Tensor, "N O"]:
        """Return the outputs for each span, row by row."""
        outputs: Tensor = self.head(self.states(rows))
        return outputs

    def outputs(self, rows: Sequence[LabelledRow]) -> Outputs:
        """Return the outputs for each row, on the CPU; they do not depend on the other rows."""
        return each_row(self, rows, self.states.net)

    def merit(self, spec: FineTuneSpec) -> tuple[float, float]:
        """Return how good it is by the validation rows, and minus its loss; more is better."""
        return merit(spec, self.outputs(spec.validation))


def merit(spec: FineTuneSpec, outputs: Outputs) -> tuple[float, float]:
    """Return how good outputs for the validation rows are, and minus their loss; more is better.

    What is not finite is the worst.
    """
    with torch.no_grad():
        loss = float(spec.loss(torch.cat(outputs), spec.validation))
    if not math.isfinite(loss):
        return 0.0, -sys.float_info.max
    return spec.judge(outputs), -loss


@torch.no_grad()
def each_row(
    model: PooledStates | HeadOnStates, rows: Sequence[LabelledRow], net: LanguageModel
) -> list[Tensor]:
    """Return what a module gives for each row, on the CPU, in the order of the rows."""
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number].document))
    found: dict[int, Tensor] = {}
    start = 0
    while start < len(order):
        some = order[start : start + net.rows_at_once(1 + len(rows[order[start]].document))]
        given = model([rows[number] for number in some]).cpu()
        parts = given.split([len(rows[number].spans) for number in some])
        found |= zip(some, parts, strict=True)
        start += len(some)
    return [found[number] for number in range(len(rows))]
