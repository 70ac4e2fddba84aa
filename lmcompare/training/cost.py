"""What a run would cost, found out without running it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Literal

from lmcompare import rng
from lmcompare.config.budget import Spent
from lmcompare.config.phases import Phase
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared
from lmcompare.model import ModelConfig, training_flops
from lmcompare.objectives import Clm
from lmcompare.training.batches import text_and_view
from lmcompare.training.memory import needed
from lmcompare.training.trainer import read_text
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

SAMPLED = 8  # batches, for the mean number of targets


@dataclass(frozen=True, kw_only=True)
class MatchedDepth:
    """How deep an encoder-decoder is when it is matched in one way, and what that costs.

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
class PhaseCost:
    """What a phase costs; steps are None under a budget of seconds."""

    objective: str
    share: float  # of the budget
    steps: int | None
    targets_per_step: float
    flops_per_step: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The costs of a run; what depends on the machine's speed is None under a budget of seconds."""

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
    memory: int  # bytes that training takes at most, by `lmcompare.training.memory`
    depths: tuple[
        MatchedDepth, ...
    ]  # with an encoder: a decoder-only model, and both matched to it
    phases: tuple[PhaseCost, ...] = ()  # of a run that has some


def plan(
    config: RunConfig, *, cache: Path, warn: Callable[[str], None] = lambda text: None
) -> Plan:
    """Check a configuration against its text and say what it costs; `warn` as in `prepare`.

    Raises:
        UserError: whatever `train` would refuse before its first step.
    """
    prepared = read_text(config, cache=cache, warn=warn)
    vocab, split = prepared.vocab, prepared.split("train")
    tokens = config.batch.rows * (config.batch.length - 1)
    phases = _phases(config, prepared, tokens)
    counts = [each.steps for each in phases if each.steps is not None]
    steps = sum(counts) if len(counts) == len(phases) else None
    targets, flops = _mean(phases, "targets_per_step"), _mean(phases, "flops_per_step")
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
        memory=needed(config, vocab).total,
        depths=_depths(config, prepared) if config.model.encoder_layers else (),
        phases=phases if config.phase else (),
    )


def _phases(config: RunConfig, prepared: Prepared, tokens: int) -> tuple[PhaseCost, ...]:
    """Return what each phase costs, `tokens` being those of a step."""
    found, spent, budget = list[PhaseCost](), 0.0, config.budget
    for phase in config.phases:
        targets = sum(view.num_targets for _, view in _batches(config, prepared, phase)) / SAMPLED
        views = (view for _, view in _batches(config, prepared, phase))
        flops = _flops(config.model, prepared.vocab, views)
        one = Spent(steps=1, tokens=tokens, targets=round(targets), flops=round(flops))
        each, steps = getattr(one, budget.unit), None
        if each > 0:
            steps = max(0, math.ceil((phase.stop * budget.amount - spent) / each))
            spent += steps * each
        found.append(
            PhaseCost(
                objective=phase.objective.name,
                share=phase.share,
                steps=steps,
                targets_per_step=targets,
                flops_per_step=flops,
            )
        )
    return tuple(found)


def _mean(
    phases: Sequence[PhaseCost], what: Literal["targets_per_step", "flops_per_step"]
) -> float:
    """Return the mean over the steps of all phases; over their shares where steps are not known."""
    weights = [each.share if each.steps is None else each.steps for each in phases]
    values = [float(getattr(each, what)) for each in phases]
    if len(values) == 1 or not sum(weights):
        return values[-1]
    return float(sum(map(mul, weights, values)) / sum(weights))


def _batches(config: RunConfig, prepared: Prepared, phase: Phase) -> Iterator[tuple[Text, View]]:
    """Yield the text and the view of some steps; one at a time, as a step may be large."""
    split = prepared.split("train")
    for step in range(SAMPLED):
        progress = phase.start + step / SAMPLED * (phase.stop - phase.start)
        yield text_and_view(
            config, split, prepared.vocab, step=step, phase=phase, progress=progress
        )


def _flops(model: ModelConfig, vocab: Vocab, views: Iterable[View]) -> float:
    """Return the mean FLOPs of a step."""
    return sum(training_flops(model, vocab.size, view) for view in views) / SAMPLED


def _depths(config: RunConfig, prepared: Prepared) -> tuple[MatchedDepth, ...]:
    """Return the decoder-only model, and the two encoder-decoders that are matched to it."""
    vocab, plain, phase = prepared.vocab, config.model.without_encoder(), config.phases[-1]
    num_parameters = plain.num_parameters(vocab.size)
    causal = (
        Clm().corrupt(text, vocab, rng.generator("causal"))
        for text, _ in _batches(config, prepared, phase)
    )
    flops = _flops(plain, vocab, causal)

    def depth(match: Literal["parameters", "flops"] | None) -> MatchedDepth:
        made = plain.model_copy(update={"match": match}).with_encoder() if match else plain
        here = flops
        if match:
            here = _flops(made, vocab, (view for _, view in _batches(config, prepared, phase)))
        return MatchedDepth(
            match=match,
            encoder_layers=made.encoder_layers,
            layers=made.depth,
            num_parameters=made.num_parameters(vocab.size),
            parameters_ratio=made.num_parameters(vocab.size) / num_parameters,
            flops_per_step=here,
            flops_ratio=here / flops,
        )

    return (depth(None), depth("parameters"), depth("flops"))
