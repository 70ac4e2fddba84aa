"""Each objective on a GPU beside the processor: loss, gradient, score and text; and no waiting."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from lmcompare import rng
from lmcompare.model import Backbone, ModelConfig
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.objectives.decoding.fill_request import FillRequest, FillResult
from lmcompare.objectives.decoding.sampler import NO_TOKEN, Sampler
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.training.batches import pieces
from lmcompare.training.cuda_graphs import Replayed
from lmcompare.view import View
from tests.conftest import TINY, make_text, objectives
from tests.gpu.devices import gpu_only
from tests.objectives.cases import vocab_of

CPU, GPU = torch.device("cpu"), torch.device("cuda")
WIDE = TINY.model_copy(update={"width": 64, "heads": 2, "ffn": 128})
VOCAB = vocab_of(50)


def config_for(name: str) -> ModelConfig:
    return WIDE.with_encoder() if parse_objective(name).encodes else WIDE


def network(name: str, device: torch.device) -> Backbone:
    return Backbone(config_for(name), vocab_size=VOCAB.size, seed=1).to(device)


def decided(name: str, device: torch.device) -> Backbone:
    """A network whose first choices are far ahead of its second ones, and seldom ends a text."""
    net = network(name, device).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(8 if parameter.ndim > 1 else 1)
        net.embedding *= 5
        net.embedding[list(VOCAB.sentinels)] = 0  # of which each would predict itself
    return net


def views(name: str, device: torch.device, *, length: int, steps: int = 1) -> list[View]:
    text = make_text(VOCAB, rows=4, length=length)
    found = []
    for step in range(steps):
        stream = rng.generator("corruption", 0, step)
        view = parse_objective(name).corrupt(text, VOCAB, stream, progress=0.5)
        found += pieces(view, 4, device)
    return found


def losses(net: Backbone, given: list[View]) -> torch.Tensor:
    total = torch.zeros((), device=net.device)
    for view in given:
        loss = net(view.to(net.device))
        loss.backward()
        total += loss.detach()
    return total.cpu()


@pytest.fixture(autouse=True)
def _forget_what_was_compiled() -> Iterator[None]:
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("length", [67, 640])  # with masks, and in blocks
@pytest.mark.parametrize("name", objectives())
def test_loss_and_gradient(name: str, length: int, device: torch.device) -> None:
    here, there = network(name, CPU), network(name, device)
    expected = losses(here, views(name, CPU, length=length))
    found = losses(there, views(name, device, length=length))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for (parameter, one), two in zip(here.named_parameters(), there.parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        torch.testing.assert_close(
            two.grad.cpu(), one.grad, rtol=2e-3, atol=2e-4, msg=lambda m, p=parameter: f"{p}: {m}"
        )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_bfloat16_is_near(name: str, device: torch.device) -> None:
    expected = losses(network(name, CPU), views(name, CPU, length=67))
    found = losses(network(name, device).bfloat16(), views(name, device, length=67))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_scores(name: str, device: torch.device) -> None:
    objective, text = parse_objective(name), make_text(VOCAB, rows=5, length=23)
    asked = torch.zeros_like(text.visible)
    asked[:, 7:9] = True
    expected, found = (
        objective.score(
            network(name, place).eval(),
            text,
            VOCAB,
            asked,
            scoring=objective.choose_scoring(None, "holes"),
        )
        for place in (CPU, device)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("any_length", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_text(name: str, any_length: bool, device: torch.device) -> None:
    objective, text = parse_objective(name), make_text(VOCAB, rows=5, length=23)
    if any_length and not any(each.any_length for each in objective.decoding_methods.values()):
        pytest.skip("it is told the length of what it writes")

    def write(place: torch.device) -> FillResult:
        request = FillRequest(
            text=replace(text, visible=torch.ones_like(text.visible)),
            holes=(torch.arange(23) >= 11).expand_as(text.visible),
            any_length=any_length,
            limit=13,
            sampler=Sampler(greedy=True),
            generators=tuple(torch.Generator().manual_seed(row) for row in range(5)),
        )
        return objective.fill(decided(name, place), request, VOCAB)

    expected, found = write(CPU), write(device)
    assert found.token.tolist() == expected.token.tolist()
    assert found.index.tolist() == expected.index.tolist()
    assert (found.token != NO_TOKEN).any(), "something is written"


@gpu_only
@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_step_waits_for_the_device(name: str) -> None:
    net = network(name, GPU)
    optimizer = Optimizer(net, OptimizerConfig(), dtype=torch.bfloat16)
    first, second = views(name, GPU, length=128), views(name, GPU, length=128)
    for given in (first, second):
        try:
            if given is second:
                torch.cuda.set_sync_debug_mode("error")
            for view in given:
                net(view.to(GPU)).backward()
                optimizer.collect()
            optimizer.step(rate=1e-3)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@gpu_only
@pytest.mark.parametrize("name", ["clm", "ul2", "plm", "hybrid"])
def test_a_replayed_pass_is_the_pass(name: str) -> None:
    given = views(name, GPU, length=128, steps=8)
    results = []
    for replayed in (False, True):
        net = network(name, GPU)
        optimizer = Optimizer(net, OptimizerConfig(), dtype=torch.float32)

        def once(view: View, net: Backbone = net, optimizer: Optimizer = optimizer) -> torch.Tensor:
            loss: torch.Tensor = net(view)
            loss.backward()
            optimizer.collect()
            return loss.detach()

        run = Replayed(once) if replayed else once
        found = []
        for view in given:
            found.append(run(view.to(GPU)).item())
            found.append(optimizer.step(rate=1e-3).item())
        results.append(found)
    assert results[1] == pytest.approx(results[0], rel=1e-4)


@gpu_only
@pytest.mark.parametrize("name", ["clm", "plm", "bart"])
def test_a_compiled_model_is_the_model(name: str) -> None:
    given = views(name, GPU, length=640)
    plain, compiled = network(name, GPU), network(name, GPU)
    expected = losses(plain, given)
    compiled.compile_layers()
    torch.testing.assert_close(losses(compiled, given), expected, rtol=1e-4, atol=1e-4)
    for one, two in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(two.grad, one.grad, rtol=2e-3, atol=2e-4)
