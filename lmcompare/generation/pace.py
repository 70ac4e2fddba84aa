"""Texts written behind prompts, and what writing them takes: passes, operations, time and memory.

Time depends on how many texts are written at once, so it is taken of one alone and of many
together. Passes and operations are those of one text alone: of many together, a pass counts for
all, and those that are done wait for the others. Memory is that of the model and of what writing
holds beyond it, whatever else the process holds.
"""

import ctypes
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from lmcompare import hardware, rng
from lmcompare.generation.meter import Meter
from lmcompare.generation_records import WritingCost
from lmcompare.heldout import Subject
from lmcompare.model import Backbone
from lmcompare.objectives.blanks import Blanks, Moment, Written
from lmcompare.objectives.network import Writer
from lmcompare.sampling import NOTHING, Sampler
from lmcompare.view import Text

ROWS_TOGETHER = 32
NUM_ALONE = 8  # texts that are written alone as well
CLEAR_PEAK = Path("/proc/self/clear_refs")


class _Begun(Exception):
    """The first token was written."""


@dataclass(frozen=True)
class Prompt:
    """What is gone on with.

    Attributes:
        tokens: ids, without the start token.
        number: which one it is.
        sample: which of its samples; each has random numbers of its own.
    """

    tokens: tuple[int, ...]
    number: int
    sample: int = 0


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a model writes.

    Attributes:
        method: one of the objective's fillings.
        sampler: how tokens are chosen.
        num_tokens: of each text.
    """

    method: str
    sampler: Sampler
    num_tokens: int


def write_and_measure(
    subject: Subject,
    prompts: Sequence[Prompt],
    way: Way,
    *,
    report: Callable[[float], None] = lambda share: None,
) -> tuple[list[list[int]], WritingCost]:
    """Write behind some prompts.

    Args:
        subject: the model.
        prompts: at least one, all of one length.
        way: how, and how much.
        report: told the share that is done, 0 to 1.

    Returns:
        The tokens written behind each prompt, in the order of the text, and what that took.

    Raises:
        Unsupported: the objective cannot write there, or not so.
    """
    batches = [
        _filled_up([*prompts[start : start + ROWS_TOGETHER]])
        for start in range(0, len(prompts), ROWS_TOGETHER)
    ]
    alone = prompts[:NUM_ALONE]
    num_stages, num_done = 3 * len(alone) + len(batches), 0

    def done() -> None:
        nonlocal num_done
        num_done += 1
        report(num_done / num_stages)

    meter = Meter(subject.net)
    for prompt in alone:  # first, as it warms up what is timed
        _write(meter, subject, [prompt], way)
        done()
    before = _held_from_now(subject.net.device)
    together, tokens = 0.0, []
    for batch in batches:
        start = perf_counter()
        written = _write(subject.net, subject, batch, way)
        together += perf_counter() - start
        tokens += [_in_order(written, number) for number in range(len(batch))]
        done()
    peak = None if before is None else _held_at_most(subject.net.device) - before
    seconds, waited = [], []
    for prompt in alone:
        start = perf_counter()
        _write(subject.net, subject, [prompt], way)
        seconds.append(perf_counter() - start)
        done()
        waited.append(_until_begun(subject, prompt, way))
        done()
    cost = WritingCost(
        passes_per_token=meter.cost.passes / len(alone) / way.num_tokens,
        flops_per_token=meter.cost.flops / len(alone) / way.num_tokens,
        tokens_per_second=way.num_tokens / median(seconds),
        tokens_per_second_together=len(batches) * ROWS_TOGETHER * way.num_tokens / together,
        rows_together=ROWS_TOGETHER,
        first_token_seconds=median(waited),
        peak_memory=None if peak is None else peak + _size(subject.net),
        num_alone=len(alone),
        device=hardware.device_name(subject.net.device),
        threads=torch.get_num_threads(),
    )
    return tokens[: len(prompts)], cost


def _filled_up(batch: list[Prompt]) -> list[Prompt]:
    """With further samples of its prompts, so that all batches are of one size."""
    num = len(batch)
    more = range(num, ROWS_TOGETHER)
    return batch + [replace(batch[each % num], sample=each // num) for each in more]


def _write(
    net: Writer,
    subject: Subject,
    batch: Sequence[Prompt],
    way: Way,
    *,
    watch: Callable[[Moment], None] | None = None,
) -> Written:
    vocab = subject.tokenizer.vocab
    shown = torch.tensor([[vocab.bos, *prompt.tokens] for prompt in batch])
    new = torch.full((len(batch), way.num_tokens), vocab.pad)
    tokens = torch.cat([shown, new], dim=1)
    places = torch.arange(tokens.shape[1]).expand_as(tokens)
    blanks = Blanks(
        # which words these are matters to training alone
        text=Text(tokens=tokens, visible=torch.ones_like(tokens, dtype=torch.bool), word=places),
        holes=places >= shown.shape[1],
        any_length=False,
        limit=way.num_tokens,
        method=way.method,
        sampler=way.sampler,
        generators=tuple(
            rng.generator("free writing", prompt.number, prompt.sample) for prompt in batch
        ),
        watch=watch,
    )
    return subject.objective.fill(net, blanks, vocab)


def _until_begun(subject: Subject, prompt: Prompt, way: Way) -> float:
    """Seconds till something is written; some ways to write change it later."""

    def begun(moment: Moment) -> None:
        moment.token.tolist()  # waits for the device
        raise _Begun

    start = perf_counter()
    with suppress(_Begun):
        _write(subject.net, subject, [prompt], way, watch=begun)
    return perf_counter() - start


def _in_order(written: Written, number: int) -> list[int]:
    """The tokens of a row in the order of the text, in which they may not have been written."""
    pairs = zip(written.place[number].tolist(), written.token[number].tolist(), strict=True)
    return [token for place, token in sorted(pairs) if place != NOTHING]


def _size(net: Backbone) -> int:
    """Bytes of a model."""
    return sum(weights.numel() * weights.element_size() for weights in net.parameters())


def _held_from_now(device: torch.device) -> int | None:
    """Bytes that are held now, above which a new peak begins; None where the system has no such.

    What the process freed is given back first, so that what it did before counts as little as may
    be.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    if platform.system() != "Linux":
        return None
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    try:
        CLEAR_PEAK.write_text("5")  # proc_pid_clear_refs(5)
    except OSError:
        return None
    return _held_at_most(device)


def _held_at_most(device: torch.device) -> int:
    """Bytes of the peak since `_held_from_now`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024
