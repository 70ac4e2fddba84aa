"""When a run left the frequencies of its targets behind, if it ever did.

Masked models of small size often stay for long where they know how frequent each token is and
nothing else. How long is a matter of chance and of the batch, and decides what a short budget buys.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch

from lmcompare import rng
from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.objectives import Objective
from lmcompare.runs.curves import StepLosses
from lmcompare.runs.run import Run
from lmcompare.view import IGNORE, Text
from lmcompare.vocab import Vocab

WINDOW = 50  # steps over which the loss of training is averaged
MARGIN = 0.2  # nats a target by which that is to be below the unigram
ROWS = 64  # of made text, to see how many targets are no text


def unigram_of_targets(run: Run, objective: Objective, *, length: int) -> float | None:
    """Return the entropy of a run's targets by their frequencies alone, nats a target.

    None if its tokenizer or its counts are gone or damaged.

    Args:
        run: says how often each token stands in the text.
        objective: says which targets are none of the text.
        length: tokens of a row.
    """
    try:
        tokenizer = run.tokenizer()
        nats = heldout_text.unigram_nats(run, tokenizer)
    except UserError:
        return None
    if nats is None:
        return None
    return _entropy(nats.tobytes(), tokenizer, objective, length)


@lru_cache  # seeds of an arm share it
def _entropy(nats: bytes, tokenizer: Tokenizer, objective: Objective, length: int) -> float:
    frequency = torch.from_numpy(np.exp(-np.frombuffer(nats)))
    ends = _shares_of_ends(objective, tokenizer.vocab, frequency, length)
    words = (1 - ends.sum()) * frequency
    return float(torch.special.entr(torch.cat([words, ends])).sum())


def _shares_of_ends(
    objective: Objective, vocab: Vocab, frequency: torch.Tensor, length: int
) -> torch.Tensor:
    """Return the share of the targets, by weight, that each sentinel or end token is, V long."""
    stream = rng.generator("plateau")
    drawn = torch.multinomial(frequency, ROWS * (length - 1), replacement=True, generator=stream)
    tokens = torch.cat([torch.full((ROWS, 1), vocab.bos), drawn.view(ROWS, -1)], dim=1)
    text = Text(
        tokens=tokens,
        visible=torch.ones_like(tokens, dtype=torch.bool),
        word=torch.arange(length).expand_as(tokens),
    )
    view = objective.corrupt(text, vocab, stream)
    is_end = (view.target != IGNORE) & vocab.is_special(view.target.clamp(min=0))
    weight = view.weight.double()
    return torch.bincount(
        view.target[is_end], weights=weight[is_end] / weight.sum(), minlength=vocab.size
    )


def steps_to_leave(losses: StepLosses, unigram: float) -> float:
    """Return the step at which the training loss was clearly below the unigram; infinite if never.

    The loss is the mean over the targets of `WINDOW` steps.
    """
    if len(losses.step) < WINDOW:
        return math.inf
    ones, targets = np.ones(WINDOW), losses.targets
    mean = np.convolve(losses.loss * targets, ones, "valid") / np.convolve(targets, ones, "valid")
    below = np.flatnonzero(mean < unigram - MARGIN)
    return float(losses.step[below[0] + WINDOW - 1]) if len(below) else math.inf


def note_on_plateaus(steps: Mapping[str, Sequence[float | None]]) -> str | None:
    """Say how many steps each arm took to leave the unigram, seed by seed; None if none is known.

    Args:
        steps: of each arm, by seed, as `steps_to_leave` tells them.
    """
    known = {arm: each for arm, each in steps.items() if any(one is not None for one in each)}
    if not known:
        return None
    said = "; ".join(f"{arm} {', '.join(map(_in_words, each))}" for arm, each in known.items())
    return (
        f"steps until the loss of training was {MARGIN} nats below the unigram of its targets, "
        f"by seed: {said}"
    )


def _in_words(steps: float | None) -> str:
    if steps is None:
        return "unknown"
    return f"{steps:,.0f}" if math.isfinite(steps) else "never"
