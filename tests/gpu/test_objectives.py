"""Each objective on a GPU beside the processor, and no waiting in a step."""

from collections.abc import Iterator

import pytest
import torch

from lmcompare import rng
from lmcompare.batches import pieces
from lmcompare.model import Backbone, ModelConfig
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.replay import Replayed
from lmcompare.view import View
from tests.conftest import TINY, make_text
from tests.objectives.cases import vocab_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.filterwarnings("default"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
WIDE = TINY.model_copy(update={"width": 64, "heads": 2, "ffn": 128})
VOCAB = vocab_of(50)


def config_for(name: str) -> ModelConfig:
    return WIDE.with_encoder() if parse_objective(name).encodes else WIDE


def network(name: str, device: torch.device) -> Backbone:
    return Backbone(config_for(name), vocab_size=VOCAB.size, seed=1).to(device)


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
@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_and_gradient(name: str, length: int) -> None:
    here, there = network(name, CPU), network(name, GPU)
    expected = losses(here, views(name, CPU, length=length))
    found = losses(there, views(name, GPU, length=length))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for (parameter, one), two in zip(here.named_parameters(), there.parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        torch.testing.assert_close(
            two.grad.cpu(), one.grad, rtol=2e-3, atol=2e-4, msg=lambda m, p=parameter: f"{p}: {m}"
        )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_bfloat16_is_near(name: str) -> None:
    expected = losses(network(name, CPU), views(name, CPU, length=67))
    found = losses(network(name, GPU).bfloat16(), views(name, GPU, length=67))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_scores(name: str) -> None:
    objective, text = parse_objective(name), make_text(VOCAB, rows=5, length=23)
    asked = torch.zeros_like(text.visible)
    asked[:, 7:9] = True
    expected, found = (
        objective.score(
            network(name, device).eval(),
            text,
            VOCAB,
            asked,
            scoring=objective.which_scoring(None, "holes"),
        )
        for device in (CPU, GPU)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


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
