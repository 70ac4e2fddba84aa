"""Where the processes of `gpu.py` compute, on how much, and how their steps are timed."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from lmcompare import devices

VOCAB = 50304


class Shape(NamedTuple):
    """A model, and how much it is given in a step."""

    preset: str
    rows: int
    length: int
    vocab: int
    way: str = "compiled"  # of doing its passes


SIZES = {
    "124M": Shape("base", 32, 1024, VOCAB),
    "25M": Shape("small", 64, 1024, 8192),
    "nano": Shape("nano", 64, 128, 4096, way="replayed"),
}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Measured = dict[str, Any]


def timed(step: Callable[[], object], *, groups: int, tokens: int, steps: int = 1) -> Measured:
    """Seconds of a step: the median of groups of `steps`, as a processor runs ahead of its GPU."""
    seconds = []
    devices.forget_peak_memory(DEVICE)
    for _ in range(groups):
        devices.wait(DEVICE)
        start = time.perf_counter()
        for _ in range(steps):
            step()
        devices.wait(DEVICE)
        seconds.append((time.perf_counter() - start) / steps)
    typical = statistics.median(seconds)
    return {
        "ms": round(1e3 * typical, 2),
        "ms_best": round(1e3 * min(seconds), 2),
        "tokens_per_second": round(tokens / typical),
        "memory_gb": round(devices.peak_memory(DEVICE) / 2**30, 2),
    }
