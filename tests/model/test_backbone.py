"""The backbone as a whole."""

import pytest
import torch

from lmcompare import rng
from lmcompare.errors import UserError
from lmcompare.model import PRESETS, Backbone, ModelConfig, backbone
from lmcompare.model.flops import forward_flops, training_flops
from lmcompare.model.loss import weighted_cross_entropy
from lmcompare.objectives import Clm, Mlm
from lmcompare.view import IGNORE, ROUND_NUMBER, Text, View
from lmcompare.vocab import Vocab
from tests.conftest import SIZE, TINY, make_text
from tests.model.views import KINDS, make_view, with_source


def test_states_of_wanted_positions_are_those_of_all(
    net: Backbone, text: Text, vocab: Vocab
) -> None:
    view = Mlm(rate=0.4).corrupt(text, vocab, rng.generator("test"))
    wanted = view.target != IGNORE
    torch.testing.assert_close(net.states(view, wanted=wanted), net.states(view)[wanted])


def test_loss_and_log_prob_are_the_cross_entropy(net: Backbone, text: Text, vocab: Vocab) -> None:
    view = Clm().corrupt(text, vocab, rng.generator("test"))
    log_prob = (net.states(view) @ net.embedding.T).log_softmax(-1)
    expected = log_prob.gather(2, view.target.clamp(min=0)[..., None]).squeeze(2)
    expected = expected.masked_fill(view.target == IGNORE, 0)
    torch.testing.assert_close(net.log_prob(view), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net(view), -(expected * view.weight).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_a_view_have_the_log_probabilities_of_the_whole(
    kind: str, net: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = make_view(kind, length=23, size=SIZE)
    whole = net.log_prob(view)
    assert torch.equal(whole != 0, view.target != IGNORE)
    monkeypatch.setattr(backbone, "CACHED", 1)
    torch.testing.assert_close(net.log_prob(view), whole, rtol=1e-4, atol=1e-5)


def test_who_is_not_seen_does_not_matter(net: Backbone, text: Text, vocab: Vocab) -> None:
    """A change at j moves the state at i exactly where i may look at j."""
    view = Clm().read(text, vocab)
    before = net.states(view)
    tokens = text.tokens.clone()
    tokens[:, 11] = vocab.regular[5]
    after = net.states(View.causal(tokens, visible=text.visible))
    moved = ((after - before).abs().amax(2) > 1e-6)[2]
    assert moved.tolist() == [place >= 11 for place in range(text.tokens.shape[1])]


def test_weights_depend_on_seed_and_name_alone(vocab: Vocab) -> None:
    torch.manual_seed(1)
    one = Backbone(TINY, vocab_size=vocab.size, seed=5)
    torch.manual_seed(2)
    two = Backbone(TINY, vocab_size=vocab.size, seed=5)
    deeper = Backbone(TINY.model_copy(update={"layers": 3}), vocab_size=vocab.size, seed=5)
    other = Backbone(TINY, vocab_size=vocab.size, seed=6)
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, two.get_parameter(name))
        if parameter.ndim > 1:
            assert not torch.equal(parameter, other.get_parameter(name))
        if parameter.ndim > 1 and not name.endswith("output.weight"):
            assert torch.equal(parameter, deeper.get_parameter(name))


@pytest.mark.parametrize("preset", [*PRESETS])
def test_parameters_are_counted_as_they_are(preset: str) -> None:
    config = ModelConfig.model_validate(preset)
    one_layer = config.model_copy(update={"layers": 1})  # the large ones take long to draw
    made = Backbone(one_layer, vocab_size=101)
    assert one_layer.num_parameters(101) == sum(p.numel() for p in made.parameters())
    both = config.model_copy(update={"layers": 2, "encoder_layers": 1})
    with torch.device("meta"):  # of which no weights are drawn
        made = Backbone(both, vocab_size=101)
    assert both.num_parameters(101) == sum(p.numel() for p in made.parameters())


def test_sizes_are_about_what_their_names_promise() -> None:
    promised = {
        "nano": 1e6,
        "micro": 5e6,
        "small": 25e6,
        "base": 110e6,
        "medium": 335e6,
        "large": 750e6,
    }
    vocab_sizes = {"nano": 4096, "micro": 4096, "small": 4096}
    for preset, expected in promised.items():
        size = ModelConfig.model_validate(preset).num_parameters(vocab_sizes.get(preset, 32_768))
        assert size == pytest.approx(expected, rel=0.3)


def test_an_unknown_size_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'micro'"):
        ModelConfig.model_validate("mirco")


ENCODING = TINY.model_copy(update={"encoder_layers": 3})


@pytest.mark.parametrize(
    ("config", "view"),
    [
        *((TINY, make_view(kind, length=23)) for kind in KINDS if KINDS[kind] != "causal"),
        *((ENCODING, with_source(make_view(kind, length=23))) for kind in ("full", "permuted")),
        (TINY, View.stack({0: make_view("permuted", length=23), 1: make_view("full", length=11)})),
    ],
)
def test_flops_are_what_the_profiler_counts(config: ModelConfig, view: View) -> None:
    """Against torch's own counter, which sees every matrix product of the forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    # in bfloat16 attention is two plain products; the fused kernel is not counted on a processor
    net = Backbone(config, vocab_size=SIZE).bfloat16()
    with FlopCounterMode(display=False) as counter:
        for part in view.split(len(view.tokens)):
            net.log_prob(part)
    assert forward_flops(config, SIZE, view) == counter.get_total_flops()
    assert training_flops(config, SIZE, view) == 3 * counter.get_total_flops()


def test_a_causal_square_is_half() -> None:
    tokens = torch.zeros(1, 8, dtype=torch.int64)
    visible = torch.ones(1, 8, dtype=torch.bool)
    full = forward_flops(TINY, 11, View.bidirectional(tokens, visible=visible))
    causal = forward_flops(TINY, 11, View.causal(tokens, visible=visible))
    assert full - causal == 2 * 2 * TINY.layers * TINY.width * (64 - 36)


def test_a_causal_decoder_looks_at_half_of_itself_and_all_of_its_source() -> None:
    causal, full = (with_source(make_view(kind, length=23)) for kind in ("causal", "full"))
    found = forward_flops(ENCODING, SIZE, full) - forward_flops(ENCODING, SIZE, causal)
    assert found == 2 * 2 * TINY.layers * TINY.width * 3 * 23 * 22 // 2


def test_targets_are_counted_in_round_numbers(net: Backbone, vocab: Vocab) -> None:
    """And what they are filled up with changes neither loss nor gradient."""
    text = make_text(vocab)
    view = Mlm(rate=0.3).corrupt(text, vocab, rng.generator("corruption", 0))
    assert view.num_targets % ROUND_NUMBER
    rows = []

    def recorded(states: torch.Tensor, *others: torch.Tensor, compiled: bool) -> torch.Tensor:
        rows.append(len(states))
        return weighted_cross_entropy(states, *others, compiled=compiled)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "weighted_cross_entropy", recorded)
        loss = net(view)
    loss.backward()
    assert rows[0] % ROUND_NUMBER == 0
    targets = view.target != IGNORE
    expected = -(net.log_prob(view) * view.weight).sum()
    torch.testing.assert_close(loss.detach(), expected)
    gradient = net.embedding.grad
    assert gradient is not None
    net.embedding.grad = None
    weighted_cross_entropy(
        net.states(view, wanted=targets), net.embedding, view.target[targets], view.weight[targets]
    ).backward()
    torch.testing.assert_close(net.embedding.grad, gradient)
