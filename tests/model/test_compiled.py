"""Layers as a compiler takes them: whole, without falling back to Python in between."""

import subprocess
import sys
from pathlib import Path

# in a process of its own: the tests' checks of shapes are nothing that a compiler can look into
WHOLE = """
import torch
from lmcompare.model import Backbone, ModelConfig
from tests.model.views import make_view

net = Backbone(ModelConfig(), vocab_size=61)
views = [make_view(kind, length=23) for kind in ("causal", "full", "documents")]
expected = [net(view).item() for view in views]
torch._dynamo.config.recompile_limit = 64
for layer in net.layers:
    layer.compile(backend="eager", fullgraph=True)
for view, loss in zip(views, expected, strict=True):
    found = net(view)
    found.backward()
    torch.testing.assert_close(found.item(), loss)
    with torch.no_grad():
        torch.testing.assert_close(net(view).item(), loss)
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""


def test_a_layer_is_one_graph() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHOLE],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 0
