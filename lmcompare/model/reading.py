"""What can be read in a network beside its predictions: states, attention and influence.

Layers are numbered as in Hugging Face transformers: 0 is the embedding, n is what layer n puts out.
The states of the last layer are normalised, as its output head reads them; all others are the
residual stream as it is. What is asked of several layers is yielded one by one, from the first, in
a single pass, so that it can be pooled and forgotten.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import linear

from lmcompare.errors import UserError
from lmcompare.model.attention import rotate
from lmcompare.model.attention_mask import EncodedSource
from lmcompare.model.layer import Layer
from lmcompare.model.stack import Stack
from lmcompare.view import IGNORE


def hidden_states(
    stack: Stack, layers: Collection[int] | None
) -> Iterator[tuple[int, Float[Tensor, "B T D"]]]:
    """Yield the number of each chosen layer with its states, in float32.

    Raises:
        UserError: there is no such layer.
    """
    return _hidden_states(stack, _chosen(layers, first=0, last=len(stack.layers)))


def _hidden_states(
    stack: Stack, layers: Collection[int]
) -> Iterator[tuple[int, Float[Tensor, "B T D"]]]:
    for number, x in _residual(stack, layers):
        yield number, _readable(stack, number, x)


def attention_maps(
    stack: Stack, layers: Collection[int] | None, *, source: bool
) -> Iterator[tuple[int, Float[Tensor, "B H T S"]]]:
    """Yield the number of each chosen layer with its softmax weights, in float32.

    They are computed explicitly, as no fused kernel gives them, by the rule of `view.sees`. Each
    row adds up to 1, or is 0 where a position sees nothing.

    Args:
        stack: whose attention.
        layers: numbers from 1 on; None for all.
        source: whether to the source, rather than to the stack's own positions.

    Raises:
        UserError: there is no such layer.
        ValueError: there is no source.
    """
    if source and stack.source is None:
        raise ValueError("the view has no source that could be attended to")
    weights = _source_weights if source else _weights
    sees = stack.view.sees_source() if source else stack.view.sees()
    return _attention_maps(
        stack,
        _chosen(layers, first=1, last=len(stack.layers)),
        lambda layer, x: weights(stack, layer, x, sees),
    )


def _attention_maps(
    stack: Stack, layers: Collection[int], weights: Callable[[Layer, Tensor], Tensor]
) -> Iterator[tuple[int, Float[Tensor, "B H T S"]]]:
    for below, x in _residual(stack, [number - 1 for number in layers]):
        yield below + 1, weights(stack.layers[below], x)


def gradient_influence(
    stack: Stack,
    position: Int[Tensor, " B"],
    *,
    head: Float[Tensor, "V D"] | None,
    source: bool,
) -> Float[Tensor, "B S"]:
    """Return how much each embedded token moves what one position of each row says, in float32.

    That is the norm of the gradient with respect to it, of a state that of the Jacobian matrix
    (Frobenius): the hidden token attribution of Brunner et al. 2020 (On Identifiability in
    Transformers, section 5) before it is divided by its sum. A state takes a forward and a backward
    pass for each of its dimensions, a log-probability one of each.

    Args:
        stack: which reads the rows.
        position: of each row.
        head: of the log-probability of the target there; None for the state itself.
        source: whether to return the influence of the source's tokens, not of the stack's own.

    Raises:
        ValueError: there is no source, or no target where a log-probability is asked for.
    """
    encoder = stack.encoder if source else None
    if source and encoder is None:
        raise ValueError("the view has no source that could have any influence")
    rows = torch.arange(len(position), device=stack.inputs.device)
    position = position.to(rows.device)
    target = stack.view.target[rows, position]
    if head is not None and bool((target == IGNORE).any()):
        raise ValueError("a log-probability is asked for where nothing is predicted")

    def outputs(x: Float[Tensor, "B S D"]) -> Float[Tensor, "B N"]:
        if encoder is None:
            states = stack.states(x)
        else:
            reread = EncodedSource.of(stack.view, encoder.states(x))
            states = replace(stack, source=reread).states()
        chosen = states[rows, position]
        if head is None:
            return chosen
        return linear(chosen, head).float().log_softmax(1).gather(1, target[:, None])

    inputs = stack.inputs if encoder is None else encoder.inputs
    total = torch.zeros(inputs.shape[:2], device=inputs.device)
    for dimension in range(inputs.shape[2] if head is None else 1):
        # computed anew each time: what is compiled frees its memory as a gradient is taken
        with torch.enable_grad():
            x = inputs.detach().requires_grad_()
            output = outputs(x)[:, dimension].sum()  # rows do not see each other
        (gradient,) = torch.autograd.grad(output, x)
        total += gradient.float().square().sum(2)
    return total.sqrt()


def _chosen(layers: Collection[int] | None, *, first: int, last: int) -> Collection[int]:
    """Return the numbers of the chosen layers; of all from `first` to `last` by default."""
    every = range(first, last + 1)
    for number in layers or ():
        if number not in every:
            raise UserError(
                f"there is no layer {number} to read here: choose from {first} to {last}"
            )
    return every if layers is None else layers


def _residual(
    stack: Stack, layers: Collection[int]
) -> Iterator[tuple[int, Float[Tensor, "B T D"]]]:
    """Yield the residual stream after each of these layers, and compute no layer beyond them."""
    x = stack.inputs
    for number in range(max(layers, default=-1) + 1):
        if number > 0:
            with torch.no_grad():  # not around the yield: it would hold for whoever is given this
                x = stack.layers[number - 1](x, stack.mask, stack.source)
        if number in layers:
            yield number, x


@torch.no_grad()
def _readable(stack: Stack, number: int, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
    """Return the states of a layer, of the last one normalised, in float32."""
    states: Tensor = stack.norm(x) if number == len(stack.layers) else x
    return states.float()


@torch.no_grad()
def _weights(
    stack: Stack, layer: Layer, x: Float[Tensor, "B T D"], sees: Bool[Tensor, "B T T"]
) -> Float[Tensor, "B H T T"]:
    """Return whom each position attends to, where `x` comes into the layer."""
    projected = layer.attention.query_key_value(layer.attention_norm(x))
    parts = projected.unflatten(-1, (3, layer.attention.heads, -1))
    query, key = rotate(parts[:, :, :2], stack.mask).unbind(2)
    return _softmax(query, key, sees)


@torch.no_grad()
def _source_weights(
    stack: Stack, layer: Layer, x: Float[Tensor, "B T D"], sees: Bool[Tensor, "B T S"]
) -> Float[Tensor, "B H T S"]:
    """Return what each position attends to in the source, where `x` comes into the layer."""
    assert layer.cross is not None
    assert layer.cross_norm is not None
    assert stack.source is not None
    x = x + layer.attention(layer.attention_norm(x), stack.mask, None)
    heads = layer.cross.heads
    query = layer.cross.query(layer.cross_norm(x)).unflatten(-1, (heads, -1))
    key_value = layer.cross.key_value(stack.source.states).unflatten(-1, (2, heads, -1))
    return _softmax(query, key_value[:, :, 0], sees)


def _softmax(
    query: Float[Tensor, "B T H K"], key: Float[Tensor, "B _ H K"], sees: Bool[Tensor, "B T S"]
) -> Float[Tensor, "B H T S"]:
    """Return the weights of all S positions, of which the last may be no keys."""
    query, key = query.transpose(1, 2).float(), key.permute(0, 2, 3, 1).float()
    num_keys = key.shape[3]
    hidden = ~sees[:, None]
    weights = query.new_zeros(*query.shape[:3], sees.shape[2])
    scores = (query @ key * query.shape[3] ** -0.5).masked_fill_(hidden[..., :num_keys], -torch.inf)
    weights[..., :num_keys] = scores.softmax(3)
    return weights.masked_fill_(hidden, 0)  # the softmax over nothing is no number
