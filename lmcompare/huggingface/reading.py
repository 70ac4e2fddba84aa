"""What can be read in a model of Hugging Face: states, attention and influence.

transformers computes all layers at once, so what is yielded one by one has been there before.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcompare.errors import Unsupported, UserError
from lmcompare.huggingface.framing import Framed
from lmcompare.view import IGNORE, View

if TYPE_CHECKING:
    from lmcompare.huggingface.network import HfNetwork


def hidden_states(
    net: "HfNetwork", view: View, layers: Collection[int] | None
) -> Iterator[tuple[int, Float[Tensor, "B T D"]]]:
    """Yield the number of each chosen layer with its states, in float32.

    Raises:
        UserError: there is no such layer.
    """
    framed = net.framed(view)
    with torch.no_grad():
        output = net.run(view, framed, output_hidden_states=True)
    every = list(output.hidden_states)
    every[-1] = output.last_hidden_state
    chosen = _chosen(layers, first=0, last=len(every) - 1)
    return ((number, framed.read(every[number]).float()) for number in sorted(chosen))


def attention_maps(
    net: "HfNetwork", view: View, layers: Collection[int] | None, *, source: bool
) -> Iterator[tuple[int, Float[Tensor, "B H T S"]]]:
    """Yield the number of each chosen layer with its softmax weights, in float32.

    What a position gives to tokens of the frame, which no view has, is left out, and the rest is
    divided by its sum.

    Args:
        net: whose attention.
        view: what is read.
        layers: numbers from 1 on; None for all.
        source: whether to the source's positions.

    Raises:
        UserError: there is no such layer.
        Unsupported: the class gives no attention.
        ValueError: there is no source.
    """
    if source and view.source is None:
        raise ValueError("the view has no source that could be attended to")
    framed = net.framed(view)
    to, sees = framed, view.sees()
    if source and view.source is not None:
        to, sees = net.framed(view.source), view.sees_source()
    with torch.no_grad(), _explicit(net.model):
        output = net.run(view, framed, output_attentions=True)
    every = output.cross_attentions if source else output.attentions
    if not every or any(each is None or each.ndim != 4 for each in every):
        raise Unsupported(f"{net.facts.name} gives no attention weights of its layers")
    chosen = _chosen(layers, first=1, last=len(every))
    return (
        (number, _between(every[number - 1].float(), framed, to, sees)) for number in sorted(chosen)
    )


def _between(
    weights: Float[Tensor, "B H _ _"], framed: Framed, to: Framed, sees: Tensor
) -> Float[Tensor, "B H T S"]:
    """Return the weights between positions of views."""
    heads = weights.shape[1]
    rows = framed.place[:, None, :, None].expand(-1, heads, -1, weights.shape[3])
    weights = weights.gather(2, rows)
    columns = to.place[:, None, None, :].expand(-1, heads, weights.shape[2], -1)
    weights = weights.gather(3, columns).masked_fill(~sees[:, None], 0)
    return weights / weights.sum(3, keepdim=True).clamp(min=1e-30)


@contextmanager
def _explicit(model: Any) -> Iterator[None]:
    """Let a model compute its attention so that the weights can be had."""
    usual = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")
        yield
    finally:
        model.set_attn_implementation(usual)


def gradient_influence(
    net: "HfNetwork",
    view: View,
    position: Int[Tensor, " B"],
    *,
    of: Literal["state", "log_prob"],
    source: bool,
) -> Float[Tensor, "B S"]:
    """Return how much each embedded token moves what one position of each row says, in float32.

    As `model.reading` has it: of a state, the norm of the Jacobian matrix.

    Args:
        net: which reads the rows.
        view: what is read.
        position: of each row.
        of: its state, or the log-probability of its target.
        source: whether to return the influence of the source's tokens.

    Raises:
        ValueError: there is no source, or no target at one of the positions.
    """
    if source and view.source is None:
        raise ValueError("the view has no source that could have any influence")
    rows = torch.arange(len(position), device=net.device)
    position = position.to(net.device)
    target = view.target[rows, position]
    if of == "log_prob" and bool((target == IGNORE).any()):
        raise ValueError("a log-probability is asked for where nothing is predicted")
    framed = net.framed(view)
    moved = net.framed(view.source) if source and view.source is not None else framed
    embed = net.model.get_input_embeddings()
    with torch.no_grad():
        inputs = embed(moved.tokens)
    with torch.enable_grad():
        x = inputs.detach().requires_grad_()
        if source and view.source is not None:
            encoded = net.run(view.source, moved, inputs_embeds=x).last_hidden_state
            output = net.run(view, framed, encoder_hidden_states=encoded)
        else:
            output = net.run(view, framed, inputs_embeds=x)
        chosen = framed.read(output.last_hidden_state)[rows, position]
        if of == "log_prob":
            scores = net.logits_of(chosen).float().log_softmax(1)
            chosen = scores.gather(1, target[:, None])
    total = torch.zeros(inputs.shape[:2], device=net.device)
    for dimension in range(chosen.shape[1]):
        with torch.enable_grad():
            output = chosen[:, dimension].sum()  # rows do not see each other
        (gradient,) = torch.autograd.grad(output, x, retain_graph=True)
        total += gradient.float().square().sum(2)
    return total.sqrt().gather(1, moved.place)


def matrix_weights(module: nn.Module) -> int:
    """Count the weights that every position is multiplied with: all matrices but embeddings."""
    tables = {id(each.weight) for each in module.modules() if isinstance(each, nn.Embedding)}
    return sum(
        each.numel() for each in module.parameters() if each.ndim > 1 and id(each) not in tables
    )


def _chosen(layers: Collection[int] | None, *, first: int, last: int) -> Collection[int]:
    """Return the numbers of the chosen layers; of all from `first` to `last` by default."""
    every = range(first, last + 1)
    for number in layers or ():
        if number not in every:
            raise UserError(
                f"there is no layer {number} to read here: choose from {first} to {last}"
            )
    return every if layers is None else layers
