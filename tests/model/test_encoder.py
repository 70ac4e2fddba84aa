"""The backbone with an encoder, and how deep it is beside a decoder-only one."""

from dataclasses import replace

import pytest
import torch

from lmcompare.model import PRESETS, Backbone, ModelConfig
from lmcompare.view import IGNORE, View
from tests.conftest import SIZE, TINY
from tests.model.views import make_view, with_source

BOTH = TINY.model_copy(update={"encoder_layers": 1, "layers": 3, "decoder_layers": 2})


@pytest.fixture
def crossing() -> Backbone:
    """An encoder-decoder far from its initial state."""
    made = Backbone(BOTH, vocab_size=SIZE, seed=3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1 + torch.rand_like(parameter)).mul_(8 if parameter.ndim > 1 else 1)
    return made.eval()


def changed_source(view: View, row: int, place: int) -> View:
    assert view.source is not None
    tokens = view.source.tokens.clone()
    tokens[row, place] ^= 1
    return replace(view, source=replace(view.source, tokens=tokens))


def test_what_the_stacks_share_starts_alike() -> None:
    beside = BOTH.without_encoder()
    plain = dict(Backbone(beside, vocab_size=SIZE, seed=5).named_parameters())
    both = dict(Backbone(BOTH, vocab_size=SIZE, seed=5).named_parameters())
    shared = plain.keys() & both.keys()
    assert {name.split(".")[0] for name in both.keys() - shared} == {
        *("encoder", "encoder_norm", "layers")
    }
    assert len([name for name in shared if name.endswith("output.weight")]) == 2 * BOTH.depth
    for name in shared:
        assert torch.equal(both[name], plain[name])
    assert both["layers.1.cross.key_value.weight"].shape == (48, 24)
    layers = BOTH.without_encoder().layers
    scale = both["encoder.0.feed_forward.output.weight"].detach().std() * (2 * layers) ** 0.5
    assert float(scale) == pytest.approx(0.02, rel=0.1)


def test_states_of_wanted_positions_are_those_of_all(crossing: Backbone) -> None:
    for kind in ("causal", "permuted"):
        view = with_source(make_view(kind, length=11))
        wanted = view.target != IGNORE
        torch.testing.assert_close(
            crossing.states(view, wanted=wanted), crossing.states(view)[wanted]
        )


def test_all_that_is_visible_of_the_source_is_seen_and_no_more(crossing: Backbone) -> None:
    view = with_source(make_view("causal", length=11))
    assert view.source is not None
    before = crossing.states(view)
    for place in (0, 11, 12, 14):  # of 17; row 1 is padded from 12 on, the others from 14 on
        moved = [
            (crossing.states(changed_source(view, row, place)) - before).abs().amax((1, 2)) > 1e-6
            for row in (0, 1)
        ]
        seen = view.source.visible[:2, place].tolist()
        assert [each.tolist() for each in moved] == [
            [seen[0], False, False],
            [False, seen[1], False],
        ]


def test_documents_see_their_own_source(crossing: Backbone) -> None:
    view = with_source(make_view("causal", length=11))
    assert view.source is not None
    document = (torch.arange(17) > 5).long().expand(3, -1)
    view = replace(
        view,
        document=(torch.arange(11) // 4).expand(3, -1),  # the third has nothing in the source
        source=replace(view.source, document=document),
    )
    before = crossing.states(view)
    for place, seen in ((2, slice(0, 4)), (9, slice(4, 8))):
        moved = (crossing.states(changed_source(view, 0, place)) - before).abs().amax(2) > 1e-6
        assert moved[0, seen].all()
        assert moved.sum() == 4
    crossing.zero_grad()
    crossing(view).backward()
    for name, parameter in crossing.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    with torch.no_grad():
        for layer in crossing.layers:
            layer.cross.output.weight.zero_()
    torch.testing.assert_close(crossing.states(view)[:, 8:], before[:, 8:])


def test_bfloat16_agrees_with_float32() -> None:
    net = Backbone(BOTH, vocab_size=SIZE, seed=3)
    view = with_source(make_view("prefix", length=11))
    expected = net.log_prob(view)
    torch.testing.assert_close(net.bfloat16().log_prob(view), expected, rtol=0.02, atol=0.05)


def test_the_loss_of_pieces_adds_up(crossing: Backbone) -> None:
    view = with_source(make_view("causal", length=11))
    pieces = [crossing(piece) for piece in view.split(1)]
    torch.testing.assert_close(torch.stack(pieces).sum(), crossing(view))


def test_a_source_and_an_encoder_belong_together(crossing: Backbone) -> None:
    view = make_view("causal", length=11)
    for ask in (crossing, crossing.log_prob):
        with pytest.raises(ValueError, match="has an encoder and the view has no source"):
            ask(view)
    with pytest.raises(ValueError, match="has a source and this model has no encoder"):
        Backbone(TINY, vocab_size=SIZE).states(with_source(view))


def test_an_encoder_reads_what_has_no_source(crossing: Backbone) -> None:
    view = make_view("full", length=11)
    states = crossing.states(view)
    torch.testing.assert_close(states, crossing.encode(view))
    wanted = torch.rand(view.tokens.shape) < 0.5
    torch.testing.assert_close(crossing.states(view, wanted=wanted), states[wanted])
    states.sum().backward()
    assert crossing.encoder[0].attention.output.weight.grad.abs().sum() > 0
    assert crossing.layers[0].attention.output.weight.grad is None, "the decoder has no part in it"


@pytest.mark.parametrize("match", ["parameters", "flops"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 6, 7, 8, 12, 23, 36])
def test_depths_are_matched(preset: str, layers: int, match: str) -> None:
    plain = ModelConfig.model_validate({"preset": preset, "layers": layers, "match": match})
    made = plain.with_encoder()
    if match == "flops":
        assert (made.encoder_layers, made.depth) == (layers, layers)
    else:
        assert abs(made.encoder_layers - made.depth) <= 1
        one_layer = plain.num_parameters(0) // layers
        apart = abs(made.num_parameters(0) - plain.num_parameters(0))
        assert apart <= one_layer * (0.51 if layers > 1 else 1.5)
    assert made.without_encoder() == plain


def test_no_depth_is_nearer_in_parameters() -> None:
    plain = ModelConfig.model_validate({"preset": "base", "layers": 7})
    made = plain.with_encoder()
    sizes = {
        (encoder, decoder): plain.model_copy(
            update={"encoder_layers": encoder, "layers": decoder}
        ).num_parameters(1009)
        for encoder in range(1, 9)
        for decoder in range(1, 9)
        if abs(encoder - decoder) <= 1
    }
    distance = {depth: abs(size - plain.num_parameters(1009)) for depth, size in sizes.items()}
    assert distance[made.encoder_layers, made.depth] == min(distance.values())


def test_named_sizes_are_matched_so() -> None:
    matched = {name: ModelConfig.model_validate(name).with_encoder() for name in PRESETS}
    assert {name: (made.encoder_layers, made.depth) for name, made in matched.items()} == {
        "nano": (1, 2),
        "micro": (2, 3),
        "small": (4, 3),
        "base": (5, 5),
        "medium": (11, 10),
        "large": (16, 15),
    }
