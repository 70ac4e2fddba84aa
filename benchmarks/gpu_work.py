"""What one process of `gpu.py` does: training, writing or scoring, ours or a peer's.

It says what it is once it has warmed up, waits for a line of standard input, works, and prints what
it measured; so many can compile at once and be timed one after another.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import gpu_train
import gpu_use
import torch
from gpu_timing import SIZES, Measured

KINDS: dict[str, Callable[[dict[str, Any]], Callable[[], Measured]]] = {
    "ours": gpu_train.ours,
    "peer": gpu_train.peer,
    "writing": gpu_use.writing,
    "scoring": gpu_use.scoring,
}


def serve(job: dict[str, Any]) -> None:
    """Be the process that does `job`."""
    warnings.filterwarnings("ignore")
    if job["toy"]:  # to run the script itself where there is no GPU
        torch.set_num_threads(1)
        for name, shape in SIZES.items():
            SIZES[name] = shape._replace(preset="nano", rows=2, length=64, vocab=1024)
    began = time.perf_counter()
    try:
        work = KINDS[job["kind"]](job)
        work()
        print(json.dumps({"ready": round(time.perf_counter() - began, 1)}), flush=True)
        if sys.stdin.readline():
            print(json.dumps(work()), flush=True)
    except Exception as error:
        print(json.dumps({"failed": explained(error)}), flush=True)
        raise  # for the log


def explained(error: Exception) -> str:
    """What went wrong, in a line of a table."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        name = error.name.partition(".")[0]
        return f"{name} is missing: make gpu-wheels GPU_PACKAGES={name}"
    text = " ".join(str(error).split())
    if "out of memory" in text:
        return "the GPU's memory is too small"
    return f"{type(error).__name__}: {text}"[:100]
