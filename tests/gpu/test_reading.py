"""What is read in a network is the same on the device that there is."""

import pytest
import torch

from lmcompare.model import Backbone
from lmcompare.view import IGNORE
from tests.conftest import SIZE, TINY
from tests.model.views import make_view, with_source

# which a GPU's fused kernels take
CONFIG = TINY.model_copy(update={"width": 64, "heads": 2, "ffn": 128, "encoder_layers": 1})


@pytest.mark.parametrize("kind", ["causal", "full", "prefix", "permuted"])
def test_states_maps_and_influence_agree(kind: str, device: torch.device) -> None:
    """Of a view on the processor, read where the network is."""
    view = with_source(make_view(kind, length=67))
    here = Backbone(CONFIG, vocab_size=SIZE, seed=1)
    there = Backbone(CONFIG, vocab_size=SIZE, seed=1).to(device)
    position = (view.target != IGNORE).long().argmax(1)
    for source in (False, True):
        for (_, one), (_, two) in zip(
            [*here.hidden_states(view), *here.attention_maps(view, source=source)],
            [*there.hidden_states(view), *there.attention_maps(view, source=source)],
            strict=True,
        ):
            assert two.device.type == device.type
            torch.testing.assert_close(two.cpu(), one, rtol=1e-3, atol=1e-4)
        one, two = (
            net.gradient_influence(view, position, of="log_prob", source=source).cpu()
            for net in (here, there)
        )
        torch.testing.assert_close(two, one, rtol=1e-2, atol=1e-4)
        assert torch.equal(two > 0, one > 0)
