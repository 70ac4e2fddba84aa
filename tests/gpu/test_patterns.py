"""The same network on the device that there is, beside the processor."""

from collections.abc import Iterator

import pytest
import torch

from lmcompare.model import Backbone, attention_mask
from lmcompare.model.attention import attend
from lmcompare.model.attention_mask import AttentionMask
from tests.conftest import SIZE, TINY
from tests.gpu.devices import gpu_only
from tests.model.views import make_view, with_source

WIDE = TINY.model_copy(update={"width": 64, "heads": 2, "ffn": 128})


@pytest.fixture(autouse=True)
def _forget_what_was_compiled() -> Iterator[None]:
    """Only so many shapes of one function are compiled."""
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("encoder_layers", [0, 1])
@pytest.mark.parametrize("kind", ["causal", "full", "padded", "documents", "permuted", "spans"])
def test_losses_and_gradients_agree(kind: str, encoder_layers: int, device: torch.device) -> None:
    view = make_view(kind, length=67)
    if encoder_layers:
        view = with_source(view)
    config = WIDE.model_copy(update={"encoder_layers": encoder_layers})
    here = Backbone(config, vocab_size=SIZE, seed=1)
    there = Backbone(config, vocab_size=SIZE, seed=1).to(device)
    losses = [here(view), there(view.to(device))]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[1].cpu(), losses[0], rtol=1e-4, atol=1e-4)
    for (name, one), two in zip(here.named_parameters(), there.parameters(), strict=True):
        torch.testing.assert_close(
            two.grad.cpu(), one.grad, rtol=2e-3, atol=2e-4, msg=lambda m, name=name: f"{name}: {m}"
        )


@gpu_only
@pytest.mark.parametrize("kind", ["padded", "permuted", "sees nothing"])
def test_flex_attention_follows_the_rule(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_mask, "LONG", 1)
    view = make_view(kind, length=131)
    assert view.hint is None
    x = torch.randn(*view.tokens.shape, 3 * 64)
    on_gpu = AttentionMask.of(view.to(torch.device("cuda")), WIDE, torch.float32)
    torch.testing.assert_close(
        attend(x.cuda(), 2, on_gpu).cpu(),
        attend(x, 2, AttentionMask.of(view, WIDE, torch.float32)),
        rtol=1e-3,
        atol=1e-3,
    )
