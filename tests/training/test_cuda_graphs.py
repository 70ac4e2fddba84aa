"""Recorded passes, with the recording played by a processor: whatever is kept gives way in time."""

from collections.abc import Callable

import pytest
import torch

from lmcompare import devices, rng
from lmcompare.model import Backbone
from lmcompare.objectives import parse_objective
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.training import cuda_graphs
from lmcompare.training.batches import rounded
from lmcompare.training.cuda_graphs import Replayed
from lmcompare.view import View
from tests.conftest import TINY, make_text, objectives
from tests.objectives.cases import vocab_of

VOCAB = vocab_of(50)


class Trained:
    """A network whose passes leave their loss in one place, as those on a GPU do."""

    def __init__(self, name: str) -> None:
        config = TINY.with_encoder() if parse_objective(name).encodes else TINY
        self.net = Backbone(config, vocab_size=VOCAB.size, seed=1)
        self.optimizer = Optimizer(self.net, OptimizerConfig(), dtype=torch.float32)
        self.loss, self.passes = torch.zeros(()), 0

    def once(self, view: View) -> torch.Tensor:
        self.passes += 1
        loss = self.net(view)
        loss.backward()
        self.optimizer.collect()
        return self.loss.copy_(loss.detach())

    def recorded(self, work: Callable[[], object], pool: object) -> Callable[[], object]:
        """A recording runs nothing: what its one pass here did is undone."""
        gradient, loss = self.optimizer._gradient.clone(), self.loss.clone()
        work()
        self.optimizer._gradient.copy_(gradient)
        self.loss.copy_(loss)
        return work


def views_of(name: str, *, steps: int) -> list[View]:
    text, found = make_text(VOCAB, rows=5, length=47), []
    for step in range(steps):
        stream = rng.generator("corruption", 0, step)
        view = parse_objective(name).corrupt(text, VOCAB, stream, progress=step / steps)
        found += [rounded(piece) for piece in view.split(5)]
    return found


@pytest.mark.parametrize("most", [64, 0])
@pytest.mark.parametrize("name", objectives())
def test_replayed_passes_are_the_passes(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST", most)
    monkeypatch.setattr(devices, "pool_of_recordings", lambda: None)
    plain, other = Trained(name), Trained(name)
    monkeypatch.setattr(devices, "recorded", other.recorded)
    replayed = Replayed(other.once)
    views = views_of(name, steps=7)
    for view in views:
        assert torch.equal(replayed(view), plain.once(view))
        rates = [each.optimizer.step(rate=1e-2) for each in (plain, other)]
        assert torch.equal(*rates)
    shapes = {cuda_graphs._shape(view) for view in views}
    assert len(replayed._recordings) == (len(shapes) if most else 0)
    if most:
        assert len(shapes) < len(views), "what is never met again is not tested"
