"""What is read in a network: the states of each layer, its attention, and what moves a state."""

import weakref
from dataclasses import replace

import pytest
import torch

from lmcompare import rng
from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, Objective
from lmcompare.objectives.network import Readable
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.conftest import SIZE, TINY, make_net, make_text
from tests.model.views import KINDS, make_view, with_source

LENGTH = 11
STACKS = ["alone", "decoder", "encoder"]


def net_and_view(kind: str, stack: str, vocab: Vocab) -> tuple[Backbone, View]:
    """Return a model far from its initial state, and what its decoder or encoder reads."""
    view = make_view(kind, length=LENGTH, size=SIZE)
    view = with_source(view) if stack == "decoder" else view
    return make_net(vocab, encodes=stack != "alone"), view


def layers_of(net: Backbone, stack: str) -> torch.nn.ModuleList:
    return net.encoder if stack == "encoder" else net.layers


def told(view: View) -> torch.Tensor:
    """Return which positions the rule binds: kernels let padding look at padding."""
    return view.visible | torch.tensor(view.hint != "causal")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_the_ordinary_pass(
    kind: str, stack: str, dtype: torch.dtype, vocab: Vocab
) -> None:
    """To the bit, in each layer, in float32."""
    net, view = net_and_view(kind, stack, vocab)
    net = net.to(dtype)
    expected = [net.embedding[view.tokens].detach()]
    hooks = [
        layer.register_forward_hook(lambda *given: expected.append(given[2]))
        for layer in layers_of(net, stack)
    ]
    with torch.no_grad():
        last = net.states(view)
    for hook in hooks:
        hook.remove()
    expected[-1] = last
    found = dict(net.hidden_states(view))
    assert [*found] == [0, 1, 2]
    for number, states in found.items():
        assert states.dtype == torch.float32
        assert torch.equal(states, expected[number].float()), number


def test_a_layer_is_computed_when_it_is_asked_for(net: Backbone) -> None:
    """And none above the highest; the reader may take gradients meanwhile."""
    view = make_view("prefix", length=LENGTH, size=SIZE)
    every = dict(net.hidden_states(view))
    passed = []
    for number, layer in enumerate(net.layers, 1):
        layer.register_forward_hook(lambda *_, number=number: passed.append(number))
    for number, states in net.hidden_states(view, layers=[1, 0]):
        assert torch.is_grad_enabled()
        assert passed == [*range(1, number + 1)]
        assert torch.equal(states, every[number])
        assert not states.requires_grad
    assert passed == [1]
    assert [number for number, _ in net.attention_maps(view, layers=[1])] == [1]
    assert passed == [1], "what comes into the first layer needs none"
    assert [*net.hidden_states(view, layers=[])] == []


def test_what_was_read_of_one_layer_is_not_kept(net: Backbone) -> None:
    view = make_view("prefix", length=LENGTH, size=SIZE)
    for read in (net.hidden_states, net.attention_maps):
        seen: list[weakref.ref[torch.Tensor]] = []
        for _, found in read(view, layers=[1, 2]):  # the stack itself keeps what comes in
            assert not any(earlier() is not None for earlier in seen)
            seen.append(weakref.ref(found))
        assert len(seen) == 2


def test_layers_that_there_are_not_are_refused_at_once(net: Backbone) -> None:
    view = make_view("full", length=LENGTH, size=SIZE)
    for layer in (-1, 3):
        with pytest.raises(UserError, match=f"no layer {layer} to read here: choose from 0 to 2"):
            net.hidden_states(view, layers=[0, layer])
    with pytest.raises(UserError, match="no layer 0 to read here: choose from 1 to 2"):
        net.attention_maps(view, layers=[0])


def test_a_probe_pools_all_layers_of_many_texts_in_one_pass(net: Backbone, vocab: Vocab) -> None:
    """What is beside a row, or how long it is padded, changes nothing."""
    text = make_text(vocab, rows=7)
    view = replace(View.causal(text.tokens, visible=text.visible), weight=text.visible.float())
    net.batch_size = 3
    pooled: dict[int, list[torch.Tensor]] = {}
    for piece in view.split(net.rows_at_once(view.tokens.shape[1])):
        for number, states in net.hidden_states(piece):
            total = (states * piece.weight[..., None]).sum(1)
            pooled.setdefault(number, []).append(total / piece.weight.sum(1, keepdim=True))
    for row in range(7):
        size = int(text.visible[row].sum())
        alone = View.causal(text.tokens[row : row + 1, :size], visible=text.visible[:1, :size])
        for number, states in net.hidden_states(alone):
            torch.testing.assert_close(
                torch.cat(pooled[number])[row], states[0].mean(0), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_how_the_layer_attends(kind: str, stack: str, vocab: Vocab) -> None:
    """Values mixed by them are what the layer's attention gives."""
    net, view = net_and_view(kind, stack, vocab)
    states = dict(net.hidden_states(view))
    machinery = net._frozen_stack(view)
    found = dict(net.attention_maps(view))
    assert [*found] == [1, 2]
    for number, weights in found.items():
        assert weights.shape == (*view.tokens.shape[:1], TINY.heads, *view.sees().shape[1:])
        assert_rows(weights, view.sees())
        layer = layers_of(net, stack)[number - 1]
        x = layer.attention_norm(states[number - 1])
        value = layer.attention.query_key_value(x).chunk(3, -1)[2].unflatten(2, (TINY.heads, -1))
        mixed = torch.einsum("bhts,bshk->bthk", weights, value).flatten(2)
        expected = layer.attention(x, machinery.mask, None)[told(view)]
        torch.testing.assert_close(
            layer.attention.output(mixed)[told(view)], expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("kind", ["causal", "permuted", "sees nothing"])
def test_maps_are_how_a_decoder_attends_to_its_source(kind: str, vocab: Vocab) -> None:
    net, view = net_and_view(kind, "decoder", vocab)
    states = dict(net.hidden_states(view))
    machinery = net._frozen_stack(view)
    assert view.source is not None
    read = net.encode(view.source)
    for number, weights in net.attention_maps(view, source=True):
        assert weights.shape == (3, TINY.heads, view.tokens.shape[1], 17)
        assert_rows(weights, view.sees_source())
        layer = net.layers[number - 1]
        x = states[number - 1]
        x = layer.cross_norm(x + layer.attention(layer.attention_norm(x), machinery.mask, None))
        value = layer.cross.key_value(read).chunk(2, -1)[1].unflatten(2, (TINY.heads, -1))
        mixed = torch.einsum("bhts,bshk->bthk", weights, value).flatten(2)
        torch.testing.assert_close(
            layer.cross.output(mixed),
            layer.cross(x, machinery.source, None),
            rtol=1e-5,
            atol=1e-5,
        )


def assert_rows(weights: torch.Tensor, sees: torch.Tensor) -> None:
    """Each row adds up to 1, or to 0 where nothing is seen, and all of it is where one looks."""
    sees = sees[:, None].expand_as(weights)
    assert (weights[~sees] == 0).all()
    assert (weights[sees] > 0).all()
    torch.testing.assert_close(weights.sum(3), sees.any(3).float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["causal and padded", "permuted", "spans"])
@pytest.mark.parametrize("source", [False, True])
@pytest.mark.parametrize("of", ["state", "log_prob"])
def test_influence_is_the_norm_of_the_gradient(
    kind: str, source: bool, of: str, vocab: Vocab
) -> None:
    """Each token stands once, so that the gradient of its embedding is that of its position."""
    net, view = net_and_view(kind, "decoder" if source else "alone", vocab)
    read = view.source if source else view
    assert read is not None
    size = read.tokens.numel() + view.tokens.numel()
    net.embedding = torch.nn.Parameter(torch.randn(size, TINY.width))
    own = torch.arange(view.tokens.numel()).view_as(view.tokens)
    view = replace(view, tokens=own)
    if source:
        assert view.source is not None
        tokens = torch.arange(own.numel(), size).view_as(view.source.tokens)
        view = replace(view, source=replace(view.source, tokens=tokens))
    position = (view.target != IGNORE).long().argmax(1)
    found = net.gradient_influence(view, position, of=of, source=source)
    assert all(parameter.grad is None for parameter in net.parameters())
    asked = view.source.tokens if source else view.tokens
    assert found.shape == asked.shape
    states = net.states(view)[torch.arange(3), position]
    if of == "log_prob":
        target = view.target[torch.arange(3), position][:, None]
        states = (states @ net.embedding.detach().T).log_softmax(1).gather(1, target)
    expected = torch.zeros(asked.shape)
    for output in states.sum(0):
        (gradient,) = torch.autograd.grad(output, net.embedding, retain_graph=True)
        expected += gradient[asked].square().sum(2)
    torch.testing.assert_close(found, expected.sqrt(), rtol=1e-4, atol=1e-5)
    assert found.max() > 0


def views_of(objective: Objective, text: Text, vocab: Vocab) -> list[View]:
    """Return how it reads clean text, and what it trains on."""
    trained = objective.corrupt(text, vocab, rng.generator("test", 1))
    return [objective.read(text, vocab), trained.rows(slice(None))]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_objective_is_moved_by_what_it_does_not_see(name: str, vocab: Vocab) -> None:
    """Attention and influence are exactly 0 where it does not look, and nowhere else."""
    objective = OBJECTIVES[name]()
    net = make_net(vocab, encodes=objective.encodes)
    for view in views_of(objective, make_text(vocab, rows=3, length=13), vocab):
        for source in [False, True] if view.source else [False]:
            sees = view.sees_source() if source else view.sees()
            for _, weights in net.attention_maps(view, source=source):
                assert_rows(weights, sees)
        # who is seen by whom one sees is seen, so more layers reach no further
        paths = view.sees() | torch.eye(view.tokens.shape[1], dtype=torch.bool)
        row, position = (told(view) | (view.target != IGNORE)).nonzero().T
        found = net.gradient_influence(view.rows(row), position)
        assert torch.equal(found > 0, paths[row, position])


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_decoder_is_moved_by_all_that_its_encoder_reads(name: str, vocab: Vocab) -> None:
    objective = OBJECTIVES[name]()
    net = make_net(vocab, encodes=True)
    view = views_of(objective, make_text(vocab, rows=3, length=13), vocab)[1]
    assert view.source is not None
    position = (view.target != IGNORE).long().argmax(1)
    for of in ("state", "log_prob"):
        found = net.gradient_influence(view, position, of=of, source=True)
        assert torch.equal(found > 0, view.source.visible)


def test_what_is_not_there_is_refused(net: Backbone, vocab: Vocab) -> None:
    view = make_view("full", length=LENGTH, size=SIZE)
    nowhere = (view.target == IGNORE).long().argmax(1)
    with pytest.raises(ValueError, match="where nothing is predicted"):
        net.gradient_influence(view, nowhere, of="log_prob")
    with pytest.raises(ValueError, match="no source that could have any influence"):
        net.gradient_influence(view, nowhere, source=True)
    with pytest.raises(ValueError, match="no source that could be attended to"):
        net.attention_maps(view, source=True)
    for ask in (net.hidden_states, net.attention_maps):
        with pytest.raises(ValueError, match="has a source and this model has no encoder"):
            ask(with_source(view))


def test_the_backbone_can_be_read(net: Backbone) -> None:
    assert isinstance(net, Readable)
