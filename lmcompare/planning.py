"""What a run would cost, found out without running it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lmcompare import hardware, rng
from lmcompare.budget import Spent
from lmcompare.config import RunConfig
from lmcompare.data import training_text
from lmcompare.model import ModelConfig, training_flops
from lmcompare.objectives import Clm
from lmcompare.training import read_text
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

SAMPLED = 8  # batches, for the mean number of targets


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How deep an encoder-decoder is under one of the ways to match it, and what that costs.

    Both ratios are to the decoder-only model under the causal objective, on the same text.
    """

    match: Literal["parameters", "flops"] | None  # None: that decoder-only model itself
    encoder_layers: int
    layers: int
    num_parameters: int
    parameters_ratio: float
    flops_per_step: float
    flops_ratio: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Costs of a run; what depends on the machine's speed is None under a budget of seconds."""

    text: str
    vocab_size: int
    encoder_layers: int
    layers: int
    num_parameters: int
    targets_per_step: float
    flops_per_step: float
    steps: int | None
    tokens: int | None
    targets: float | None
    flops: float | None
    epochs: float | None
    memory: int  # bytes of weights, gradients, moments and activations in training; an estimate
    depths: tuple[Depth, ...]  # with an encoder: a decoder-only model, and both matched to it


def plan(
    config: RunConfig, *, cache: Path, warn: Callable[[str], None] = lambda text: None
) -> Plan:
    """Check a configuration against its text and say what it costs; `warn` as of `prepare`.

    Raises:
        UserError: whatever `train` would refuse before its first step.
    """
    prepared = read_text(config, cache=cache, warn=warn)
    vocab, split = prepared.vocab, prepared.split("train")
    texts = [
        training_text(
            split,
            seed=config.seed,
            step=step,
            num_rows=config.batch.rows,
            length=config.batch.length,
            separate_documents=config.batch.separate_documents,
        )
        for step in range(SAMPLED)
    ]
    views = [
        config.objective.corrupt(
            text,
            vocab,
            rng.generator("corruption", config.seed, step),
            progress=step / SAMPLED,
        )
        for step, text in enumerate(texts)
    ]
    targets = sum(view.num_targets for view in views) / SAMPLED
    flops = _flops(config.model, vocab.size, views)
    tokens = config.batch.rows * (config.batch.length - 1)
    one = Spent(steps=1, tokens=tokens, targets=round(targets), flops=round(flops))
    each = getattr(one, config.budget.unit)
    steps = math.ceil(config.budget.amount / each) if each > 0 else None
    return Plan(
        text=prepared.description,
        vocab_size=vocab.size,
        encoder_layers=config.model.encoder_layers,
        layers=config.model.depth,
        num_parameters=config.model.num_parameters(vocab.size),
        targets_per_step=targets,
        flops_per_step=flops,
        steps=steps,
        tokens=None if steps is None else steps * tokens,
        targets=None if steps is None else steps * targets,
        flops=None if steps is None else steps * flops,
        epochs=None if steps is None else steps * tokens / split.num_tokens,
        memory=_memory(config, vocab.size, max(views, key=lambda view: view.tokens.numel())),
        depths=_depths(config.model, vocab, views, texts) if config.model.encoder_layers else (),
    )


def _flops(model: ModelConfig, vocab_size: int, views: Sequence[View]) -> float:
    """Of a step, in the mean."""
    return sum(training_flops(model, vocab_size, view) for view in views) / len(views)


def _depths(
    model: ModelConfig, vocab: Vocab, views: Sequence[View], texts: Sequence[Text]
) -> tuple[Depth, ...]:
    """The decoder-only model that an encoder-decoder stands beside, and both matched to it."""
    plain = model.without_encoder()
    causal = [Clm().corrupt(text, vocab, rng.generator("causal")) for text in texts]
    num_parameters, flops = plain.num_parameters(vocab.size), _flops(plain, vocab.size, causal)

    def depth(match: Literal["parameters", "flops"] | None) -> Depth:
        made = plain.model_copy(update={"match": match}).with_encoder() if match else plain
        here = _flops(made, vocab.size, views) if match else flops
        return Depth(
            match=match,
            encoder_layers=made.encoder_layers,
            layers=made.depth,
            num_parameters=made.num_parameters(vocab.size),
            parameters_ratio=made.num_parameters(vocab.size) / num_parameters,
            flops_per_step=here,
            flops_ratio=here / flops,
        )

    return (depth(None), depth("parameters"), depth("flops"))


def _memory(config: RunConfig, vocab_size: int, view: View) -> int:
    """Masters, gradients and moments in float32, a working copy, and what backward needs."""
    model, batch = config.model, config.batch
    width = 2 if config.runtime.precision == "bfloat16" else 4
    rows = config.runtime.micro_batch or hardware.rows_at_once(
        hardware.choose_device(config.runtime.device), rows=batch.rows, length=batch.length
    )
    each = 10 * model.width + 4 * model.ffn  # of a layer, for each position
    kept = (model.depth * each + 4 * model.width) * view.tokens.shape[1]
    if view.source is not None:
        source = view.source.tokens.shape[1]
        kept += (model.encoder_layers * each + 2 * model.depth * model.width) * source
        kept += 5 * model.depth * model.width * view.tokens.shape[1]
    return model.num_parameters(vocab_size) * (16 + width) + rows * kept * width
