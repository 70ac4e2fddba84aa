"""Batches made ahead, sizes made round and losses read late change nothing that comes out."""

from pathlib import Path

import pytest
import torch

from lmcompare import devices, rng
from lmcompare.config.budget import Spent
from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.optim import Optimizer
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.training import trainer
from lmcompare.training.batches import LENGTHS, TARGETS, Batch, Batches, rounded
from tests.conftest import TINY, make_text, values
from tests.objectives.cases import vocab_of
from tests.tiny import Trainer, assert_equal, outcome, tiny


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "prepares_ahead", lambda _: True)
    monkeypatch.setattr(devices, "steps_unread", lambda _: 6)


@pytest.mark.parametrize(
    "settings",
    values(
        ("ul2",),
        slow=[("clm",), ("mlm", "objective.final_rate=0.5"), ("t5", "budget=2000 targets")],
    ),
)
def test_ahead_and_read_late_is_the_same_bit_for_bit(
    corpus: Path, train: Trainer, settings: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    config = tiny(corpus, *settings, "validation.times=3")
    usual = train(config, run=trainer.Run(train.folder / "usual"))
    request.getfixturevalue("as_on_a_gpu")
    late = train(config, run=trainer.Run(train.folder / "late"))
    assert_equal(late, usual)
    again = trainer.Run(train.folder / "again")
    train(config, run=again, stop_at=6)
    assert len(outcome(again).metrics) == 6
    assert_equal(train(config, run=again), usual)
    seconds = [line.seconds for line in late.metrics()]
    assert seconds == sorted(seconds)
    assert (done := late.done()) is not None
    assert done.spent.seconds == seconds[-1]


def test_a_loss_that_is_no_number_is_found_when_read(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch, as_on_a_gpu: None
) -> None:
    step, calls = Optimizer.step, [0]

    def broken(optimizer: Optimizer, *, rate: float) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 9:
            optimizer._gradient += torch.nan
        return step(optimizer, rate=rate)

    config = tiny(corpus)
    with monkeypatch.context() as patched:
        patched.setattr(Optimizer, "step", broken)
        with pytest.raises(UserError, match="norm of the gradient became nan at step 9 of"):
            train(config)
    run = train.place(config)
    lines = MetricsFile(run.metrics_file).lines()  # of a run, those up to its last checkpoint count
    assert [line.step for line in lines] == list(range(1, 9))
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    assert_equal(train(config), whole)


def test_what_is_not_finite_updates_nothing() -> None:
    net = Backbone(TINY, vocab_size=61)
    from lmcompare.optim import OptimizerConfig

    optimizer = Optimizer(net, OptimizerConfig(), dtype=torch.float32)
    for gradient in (1.0, torch.nan, torch.inf):
        before = {name: tensor.clone() for name, tensor in optimizer.state().items()}
        optimizer._gradient += gradient
        optimizer.step(rate=0.1)
        same = all(torch.equal(before[name], each) for name, each in optimizer.state().items())
        assert same == (gradient != 1)


def test_a_failure_ahead_is_told_where_its_batch_is_asked_for() -> None:
    def read(spent: Spent) -> Batch:
        if spent.steps == 2:
            raise UserError("no more")
        return Batch(step=spent.steps, tokens=torch.zeros(1, 1), pieces=[], cost=COST, parts=None)

    spent = Spent()
    with Batches(read, ahead=lambda _: True) as batches:
        for _ in range(2):
            spent = batches(spent).after(spent)
        with pytest.raises(UserError, match="no more"):
            batches(spent)


COST = Spent(steps=1, tokens=1, targets=1, flops=1)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_round_sizes_keep_loss_and_gradient(name: str) -> None:
    objective, vocab = parse_objective(name), vocab_of(50)
    config = TINY.with_encoder() if objective.encodes else TINY
    net = Backbone(config, vocab_size=vocab.size, seed=1)
    text = make_text(vocab, rows=5, length=47)
    view = objective.corrupt(text, vocab, rng.generator("corruption", 0))
    results = []
    for piece in view.split(5):
        for each in (piece, rounded(piece)):
            net.zero_grad()
            loss = net(each)
            loss.backward()
            results.append([loss.detach(), *(p.grad for p in net.parameters())])
        assert each.tokens.shape[1] % LENGTHS == 0
        assert len(each.targets) % TARGETS == 0 or len(each.targets) == each.tokens.numel()
        assert each.hint == piece.hint
        moved = each.to(torch.device("meta"))
        assert (moved.hint, moved.num_keys) == (each.hint, each.num_keys)
        assert moved.targets.shape == each.targets.shape
    for one, two in zip(*results[-2:], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
