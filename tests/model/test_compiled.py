"""Layers as a compiler takes them: whole, and few versions of them for all steps of training."""

import subprocess
import sys

import pytest

from lmcompare.objectives import OBJECTIVES
from tests import ROOT

# in a process of its own: the tests' checks of shapes are nothing that a compiler can look into
WHOLE = """
import torch
from lmcompare.model import Backbone, ModelConfig
from tests.model.views import make_view

net = Backbone(ModelConfig(), vocab_size=61)
views = [make_view(kind, length=23) for kind in ("causal", "full", "documents")]
expected = [net(view).item() for view in views]
net.compile_layers(backend="eager")
for view, loss in zip(views, expected, strict=True):
    found = net(view)
    found.backward()
    torch.testing.assert_close(found.item(), loss, rtol=1e-5, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(net(view).item(), loss, rtol=1e-5, atol=0)
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""

# as on a GPU, but for its kernels: what a layer is compiled to is left to Python
STEPS = """
import importlib
import sys
import torch
from lmcompare import rng
from lmcompare.training.batches import rounded
from lmcompare.model import Backbone, ModelConfig, attention_mask
from lmcompare.objectives import parse_objective
from tests.conftest import make_text
from tests.objectives.cases import vocab_of

if sys.argv[2] == "blocks":
    attention_mask._in_blocks = lambda _: True
    # no compiled kernel has a gradient on a processor, and this is checked for Python's too
    importlib.import_module("torch.nn.attention.flex_attention")._validate_device = lambda *_: None
objective, vocab = parse_objective(sys.argv[1]), vocab_of(50)
config = ModelConfig(width=24, heads=3, ffn=29, layers=3)
net = Backbone(config.with_encoder() if objective.encodes else config, vocab_size=vocab.size)
net.compile_layers(backend="eager")
text = make_text(vocab, rows=4, length=128)
for step in range(50):
    stream = rng.generator("corruption", 0, step)
    view = objective.corrupt(text, vocab, stream, progress=step / 50)
    for piece in view.split(4):
        net(rounded(piece)).backward()
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""
# The layers below the last and the last, in an encoder and a decoder, or causal and with a mask.
MOST = 4


def printed(program: str, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


@pytest.mark.slow
def test_a_layer_is_one_graph() -> None:
    assert printed(WHOLE) > 0


@pytest.mark.parametrize(
    ("objective", "attention"),
    [(name, kernel) for name in OBJECTIVES for kernel in ("mask", "blocks")],
)
@pytest.mark.slow
def test_fifty_steps_need_few_versions(objective: str, attention: str) -> None:
    assert 0 < printed(STEPS, objective, attention) <= MOST
