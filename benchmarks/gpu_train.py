"""Training steps on a GPU: ours under any objective, and those of models of transformers."""

from collections.abc import Callable
from typing import Any

import contestants
import torch
from gpu_timing import DEVICE, SIZES, Measured, timed

from lmcompare import rng
from lmcompare.config.budget import Spent
from lmcompare.model import Backbone, ModelConfig, training_flops
from lmcompare.objectives import parse_objective
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.training.batches import Batch, Batches, pieces
from lmcompare.training.cuda_graphs import Replayed
from lmcompare.view import Text, View


def ours(job: dict[str, Any]) -> Callable[[], Measured]:
    """Training as `lmcompare train` does it: batches made ahead, losses left unread."""
    preset, rows, length, contestants.VOCAB, usual = SIZES[job["size"]]
    vocab, objective = contestants.vocabulary(), parse_objective(job["name"])
    config = ModelConfig.model_validate(preset)
    config = config.with_encoder() if objective.encodes else config
    net = Backbone(config, vocab_size=vocab.size).to(DEVICE)
    dtype = torch.float32 if job["toy"] else torch.bfloat16
    optimizer = Optimizer(net, OptimizerConfig(learning_rate=1e-4), dtype=dtype)

    def read(spent: Spent) -> Batch:
        draws = torch.Generator().manual_seed(spent.steps)
        choice = torch.randint(len(vocab.regular), (rows, length), generator=draws)
        tokens = vocab.regular[choice]
        tokens[:, 0] = vocab.bos
        text = Text(
            tokens=tokens,
            visible=torch.ones_like(tokens, dtype=torch.bool),
            word=torch.arange(length).expand_as(tokens).contiguous(),
        )
        stream = rng.generator("corruption", 0, spent.steps)
        view = objective.corrupt(text, vocab, stream, progress=0.5)
        flops = training_flops(config, vocab.size, view)
        cost = Spent(steps=1, tokens=rows * length, targets=view.num_targets, flops=flops)
        cut = pieces(view, rows, DEVICE)
        return Batch(step=spent.steps, tokens=tokens, pieces=cut, cost=cost, parts=None)

    def once(view: View) -> torch.Tensor:
        loss: torch.Tensor = net(view)
        loss.backward()
        optimizer.collect()
        return loss.detach()

    way = job.get("way", usual)
    run: Callable[[View], torch.Tensor] = once
    if way == "compiled":
        net.compile_layers(backend="eager" if job["toy"] else "inductor")
    elif way == "replayed" and DEVICE.type == "cuda":
        run = Replayed(once)
    batches, spent = Batches(read, ahead=lambda _: DEVICE.type != "cpu"), Spent()

    def step() -> None:
        nonlocal spent
        batch = batches(spent)
        total = torch.zeros((), device=DEVICE)
        for piece in batch.pieces:
            total += run(piece.to(DEVICE))
        optimizer.step(rate=1e-4)
        spent = batch.after(spent)

    for _ in range(1 if job["toy"] else 12):  # until the shapes that occur have been met
        step()

    def work() -> Measured:
        before = spent
        groups, steps = (1, 2) if job["toy"] else (4, 25 if preset == "nano" else 5)
        found = timed(step, groups=groups, steps=steps, tokens=rows * length)
        flops = (spent.flops - before.flops) / (spent.steps - before.steps)
        found["tflops"] = round(flops / found["ms"] / 1e9, 1)
        found["parameters"] = sum(p.numel() for p in net.parameters())
        found["versions"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        return found

    return work


def peer(job: dict[str, Any]) -> Callable[[], Measured]:
    """A model of transformers, compiled whole, autocast to bfloat16 with the fused AdamW."""
    import transformers

    name = job["name"]
    preset, rows, length, contestants.VOCAB, _ = SIZES[job["size"]]
    rows = max(1, rows // 2)  # as it holds the logits of all of them, in float32 too
    config = ModelConfig.model_validate(preset)
    contestants.LENGTH, contestants.ROWS = length, rows
    shape = contestants.peer_shape(
        name, layers=config.layers, width=config.width, heads=config.heads, ffn=config.ffn
    )
    if name == "GPT2LMHeadModel":
        shape["n_inner"] = 4 * config.width
    stem = name.split("For")[0].split("LMHead")[0].removesuffix("Model")
    torch.manual_seed(0)
    net = getattr(transformers, name)(getattr(transformers, stem + "Config")(**shape)).to(DEVICE)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)
    model = net if job["toy"] else torch.compile(net)
    given = {key: value.to(DEVICE) for key, value in contestants.peer_inputs(name).items()}

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=not job["toy"]):
            loss = model(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(1 if job["toy"] else 3):
        step()
    parameters = sum(p.numel() for p in net.parameters())
    # 6 x parameters, and attention, of which a causal model needs half (Chowdhery et al. 2022)
    attention = 6 * config.layers * config.width * length * (2 if "Masked" in name else 1)
    flops = rows * length * (6 * parameters + attention)

    def work() -> Measured:
        groups, steps = (1, 1) if job["toy"] else (3, 5)
        found = timed(step, groups=groups, steps=steps, tokens=rows * length)
        tflops = round(flops / found["ms"] / 1e9, 1)
        return {**found, "tflops": tflops, "parameters": parameters}

    return work
