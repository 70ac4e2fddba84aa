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
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from lmcompare import devices
from lmcompare.evaluation.generation.record import ROWS_TOGETHER, WritingCost
from lmcompare.generation.flop_counter import Meter
from lmcompare.generation.prompts import Request, TextWithHoles, fill_request
from lmcompare.objectives.decoding.fill_request import DecodeStep, FillResult
from lmcompare.objectives.network import LanguageModel, Writer
from lmcompare.runs.loaded_model import LoadedModel

NUM_ALONE = 8  # texts that are written alone as well
CLEAR_PEAK = Path("/proc/self/clear_refs")


class _Begun(Exception):
    """The first token was written."""


def write_and_measure(
    model: LoadedModel,
    rows: Sequence[TextWithHoles],
    request: Request,
    *,
    report: Callable[[float], None] = lambda share: None,
) -> tuple[list[list[int]], WritingCost]:
    """Write at the end of some texts.

    Args:
        model: the model.
        rows: at least one, of one length, all with as many tokens to be written.
        request: in which way.
        report: told the share that is done, 0 to 1.

    Returns:
        The tokens written of each text, in its order, and what that took.

    Raises:
        Unsupported: the objective cannot write there, or not so.
    """
    batches = [
        filled_up([*rows[start : start + ROWS_TOGETHER]])
        for start in range(0, len(rows), ROWS_TOGETHER)
    ]
    alone, num_tokens = rows[:NUM_ALONE], sum(rows[0].holes)
    num_stages, num_done = 3 * len(alone) + len(batches), 0

    def done() -> None:
        nonlocal num_done
        num_done += 1
        report(num_done / num_stages)

    meter = Meter(model.net)
    for row in alone:  # first, as it warms up what is timed
        write_rows(meter, model, [row], request)
        done()
    before = _held_from_now(model.net.device)
    together, tokens = 0.0, []
    for batch in batches:
        start = perf_counter()
        written = write_rows(model.net, model, batch, request)
        together += perf_counter() - start
        tokens += [[token for _, token in written.in_order(row)] for row in range(len(batch))]
        done()
    peak = None if before is None else _held_at_most(model.net.device) - before
    seconds, waited = [], []
    for row in alone:
        start = perf_counter()
        write_rows(model.net, model, [row], request)
        seconds.append(perf_counter() - start)
        done()
        waited.append(_until_begun(model, row, request))
        done()
    cost = WritingCost(
        passes_per_token=meter.cost.passes / len(alone) / num_tokens,
        flops_per_token=meter.cost.flops / len(alone) / num_tokens,
        tokens_per_second=num_tokens / median(seconds),
        tokens_per_second_together=len(batches) * ROWS_TOGETHER * num_tokens / together,
        rows_together=ROWS_TOGETHER,
        first_token_seconds=median(waited),
        peak_memory=None if peak is None else peak + _size(model.net),
        num_alone=len(alone),
        device=devices.device_name(model.net.device),
        threads=torch.get_num_threads(),
    )
    return tokens[: len(rows)], cost


def filled_up(batch: list[TextWithHoles]) -> list[TextWithHoles]:
    """Add further samples of its prompts, so that all batches are of one size."""
    num = len(batch)
    more = range(num, ROWS_TOGETHER)
    return batch + [replace(batch[each % num], number=each // num) for each in more]


def write_rows(
    net: Writer,
    model: LoadedModel,
    batch: list[TextWithHoles],
    request: Request,
    *,
    on_step: Callable[[DecodeStep], None] | None = None,
) -> FillResult:
    """Write rows at once.

    Args:
        net: the model's network, or what counts its passes.
        model: the model.
        batch: the rows.
        request: in which way.
        on_step: told of each step.

    Raises:
        Unsupported: the objective cannot write there, or not so.
    """
    vocab = model.tokenizer.vocab
    holes = replace(fill_request(batch, request, vocab), on_step=on_step)
    return model.objective.fill(net, holes, vocab)


def _until_begun(model: LoadedModel, row: TextWithHoles, request: Request) -> float:
    """Return seconds till something is written; some ways to write change it later."""

    def begun(moment: DecodeStep) -> None:
        moment.token.tolist()  # waits for the device
        raise _Begun

    start = perf_counter()
    with suppress(_Begun):
        write_rows(model.net, model, [row], request, on_step=begun)
    return perf_counter() - start


def _size(net: LanguageModel) -> int:
    """Return bytes of a model."""
    return sum(weights.numel() * weights.element_size() for weights in net.parameters())


def _held_from_now(device: torch.device) -> int | None:
    """Return bytes held now, above which a new peak begins; None where the system has no such.

    What the process freed is given back first, so that what it did before counts as little as may
    be.
    """
    if device.type == "cuda":
        devices.forget_peak_memory(device)
        return devices.peak_memory(device)
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
    """Return bytes of the peak since `_held_from_now`."""
    if device.type == "cuda":
        return devices.peak_memory(device)
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024
