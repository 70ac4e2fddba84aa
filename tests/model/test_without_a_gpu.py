"""What a GPU is given, proved on a processor: its shapes, its blocks, and that nobody waits for it.

A tensor on the meta device has a shape and strides and no numbers: whatever would ask a GPU for a
number, and so wait for it, fails there. Corruption, and the sums of `log_prob`, are done on the
processor by design; they have no place here.
"""

import importlib

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

from lmcompare import rng
from lmcompare.model import (
    Backbone,
    ModelConfig,
    attention,
    attention_mask,
    block_mask,
)
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.training.batches import rounded
from lmcompare.view import View
from tests.conftest import TINY, make_text
from tests.objectives.cases import vocab_of

CPU, META = torch.device("cpu"), torch.device("meta")
VOCAB = vocab_of(50)


def config_for(name: str) -> ModelConfig:
    return TINY.with_encoder() if parse_objective(name).encodes else TINY


def pieces_of(name: str, *, rows: int = 5, length: int = 47) -> list[View]:
    """A step's pieces as a GPU is given them; the text has padded rows."""
    view = parse_objective(name).corrupt(
        make_text(VOCAB, rows=rows, length=length),
        VOCAB,
        rng.generator("corruption", 0),
        progress=0.5,
    )
    return [rounded(piece) for piece in view.split(rows)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_asks_a_device_for_nothing_but_shapes(name: str, dtype: torch.dtype) -> None:
    net = Backbone(config_for(name), vocab_size=VOCAB.size).to(META)
    optimizer = Optimizer(net, OptimizerConfig(), dtype=dtype)
    for piece in pieces_of(name):
        loss = net(piece.to(META))
        assert (loss.device, loss.shape, loss.dtype) == (META, (), torch.float32)
        loss.backward()
        for parameter in net.parameters():
            gradient = parameter.grad
            assert gradient is not None
            assert (gradient.shape, gradient.dtype) == (parameter.shape, dtype)
            assert gradient.stride() == parameter.stride()
        optimizer.collect()
    norm = optimizer.step(rate=1e-3)
    assert (norm.device, norm.shape) == (META, ())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_states_lie_there_as_here(name: str) -> None:
    here, there = (Backbone(config_for(name), vocab_size=VOCAB.size).to(to) for to in (CPU, META))
    for piece in pieces_of(name):
        expected = here._states(piece, piece.targets)
        found = there._states(piece.to(META), piece.targets.to(META))
        assert found.shape == expected.shape == (len(piece.targets), TINY.width)
        assert found.stride() == expected.stride()


@pytest.fixture
def as_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let FlexAttention do on a processor, in its plain form, what it does on a GPU.

    That form asks the rule of every pair; which blocks may be skipped is for `test_blocks`.
    """
    module = importlib.import_module("torch.nn.attention.flex_attention")
    # no compiled kernel has a gradient there, and this is checked for the plain form too
    monkeypatch.setattr(module, "_validate_device", lambda *_: None)
    monkeypatch.setattr(module, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(attention, "_compiled_flex", lambda: flex_attention)
    monkeypatch.setattr(attention_mask, "_in_blocks", lambda _: True)
    monkeypatch.setattr(block_mask, "SIZE", 16)


def loss_and_gradient(net: Backbone, pieces: list[View]) -> list[torch.Tensor]:
    net.zero_grad()
    total = torch.zeros(())
    for piece in pieces:
        loss = net(piece)
        loss.backward()
        total += loss.detach()
    gradients = [parameter.grad for parameter in net.parameters()]
    return [total, *(each.clone() for each in gradients if each is not None)]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_blocks_give_the_loss_and_gradient_of_masks(
    name: str, request: pytest.FixtureRequest
) -> None:
    net, pieces = Backbone(config_for(name), vocab_size=VOCAB.size, seed=1), pieces_of(name)
    expected = loss_and_gradient(net, pieces)
    request.getfixturevalue("as_blocks")
    found = loss_and_gradient(net, pieces)
    assert len(found) == len(expected) == 1 + len([*net.parameters()])
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
