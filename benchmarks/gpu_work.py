"""What one process of `gpu.py` does: a training step, writing or scoring, ours or a peer's.

It says what it is once it has warmed up, waits for a line of standard input, works, and prints what
it measured; so many can compile at once and be timed one after another.
"""

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import contestants
import torch

from lmcompare import hardware, rng
from lmcompare.batches import Batch, Batches, pieces
from lmcompare.budget import Spent
from lmcompare.model import Backbone, ModelConfig, training_flops
from lmcompare.objectives import parse_objective
from lmcompare.optim import Optimizer, OptimizerConfig
from lmcompare.replay import Replayed
from lmcompare.view import Text, View

VOCAB, LENGTH = 50304, 1024
SIZES = {  # preset, rows, vocabulary
    "124M": ("base", 32, VOCAB),
    "25M": ("small", 64, 8192),
    "nano": ("nano", 64, 4096),
}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Measured = dict[str, Any]


def serve(job: dict[str, Any]) -> None:
    """Be the process that does `job`."""
    warnings.filterwarnings("ignore")
    if job["smoke"]:  # to try the script itself where there is no GPU
        SIZES.update({name: ("nano", 2, 1024) for name in SIZES})
    began = time.perf_counter()
    work = KINDS[job["kind"]](job)
    work()
    print(json.dumps({"ready": round(time.perf_counter() - began, 1)}), flush=True)
    if sys.stdin.readline():
        print(json.dumps(work()), flush=True)


def timed(step: Callable[[], object], *, steps: int, tokens: int) -> Measured:
    """Seconds of a step, the median of groups of five, as the processor runs ahead of the GPU."""
    seconds = []
    for _ in range(max(1, steps // 5)):
        hardware.wait(DEVICE)
        start = time.perf_counter()
        for _ in range(5):
            step()
        hardware.wait(DEVICE)
        seconds.append((time.perf_counter() - start) / 5)
    typical = statistics.median(seconds)
    return {
        "ms": round(1e3 * typical, 2),
        "ms_best": round(1e3 * min(seconds), 2),
        "tokens_per_second": round(tokens / typical),
        "memory_gb": round(hardware.peak_memory(DEVICE) / 2**30, 2),
    }


def ours(job: dict[str, Any]) -> Callable[[], Measured]:
    """Training as `lmcompare train` does it: batches made ahead, losses left unread."""
    preset, rows, vocab_size = SIZES[job["size"]]
    length = 128 if preset == "nano" else LENGTH
    contestants.VOCAB = vocab_size
    vocab, objective = contestants.vocabulary(), parse_objective(job["name"])
    config = ModelConfig.model_validate(preset)
    config = config.with_encoder() if objective.encodes else config
    net = Backbone(config, vocab_size=vocab.size).to(DEVICE)
    optimizer = Optimizer(net, OptimizerConfig(learning_rate=1e-4), dtype=torch.bfloat16)

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
        cost = {"steps": 1, "tokens": rows * length, "targets": view.num_targets, "flops": flops}
        cut = pieces(view, rows, DEVICE)
        return Batch(step=spent.steps, tokens=tokens, pieces=cut, cost=cost, parts=None)

    def once(view: View) -> torch.Tensor:
        loss: torch.Tensor = net(view)
        loss.backward()
        optimizer.collect()
        return loss.detach()

    way = job.get("way") or ("replayed" if preset == "nano" else "compiled")
    run: Callable[[View], torch.Tensor] = once
    if way == "compiled":
        net.compile_layers()
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

    for _ in range(2 if job["smoke"] else 12):  # until the shapes that occur have been met
        step()

    def work() -> Measured:
        before = spent
        steps = 5 if job["smoke"] else (100 if preset == "nano" else 20)
        found = timed(step, steps=steps, tokens=rows * length)
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
    preset, rows, vocab_size = SIZES[job["size"]]
    rows = max(1, rows // 2)  # as it holds the logits of all of them, in float32 too
    config = ModelConfig.model_validate(preset)
    contestants.VOCAB, contestants.LENGTH, contestants.ROWS = vocab_size, LENGTH, rows
    shape = contestants.peer_shape(
        name, layers=config.layers, width=config.width, heads=config.heads, ffn=config.ffn
    )
    if name == "GPT2LMHeadModel":
        shape["n_inner"] = 4 * config.width
    stem = name.split("For")[0].split("LMHead")[0].removesuffix("Model")
    torch.manual_seed(0)
    net = getattr(transformers, name)(getattr(transformers, stem + "Config")(**shape)).to(DEVICE)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)
    model = net if job["smoke"] else torch.compile(net)
    given = {key: value.to(DEVICE) for key, value in contestants.peer_inputs(name).items()}

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = model(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(1 if job["smoke"] else 3):
        step()
    parameters = sum(p.numel() for p in net.parameters())
    # 6 x parameters, and attention, of which a causal model needs half (Chowdhery et al. 2022)
    attention = 6 * config.layers * config.width * LENGTH * (2 if "Masked" in name else 1)
    flops = rows * LENGTH * (6 * parameters + attention)

    def work() -> Measured:
        found = timed(step, steps=5 if job["smoke"] else 15, tokens=rows * LENGTH)
        tflops = round(flops / found["ms"] / 1e9, 1)
        return {**found, "tflops": tflops, "parameters": parameters}

    return work


KINDS: dict[str, Callable[[dict[str, Any]], Callable[[], Measured]]] = {
    "ours": ours,
    "peer": peer,
}
