"""Speed of comparing the states of eight models, and its memory at two numbers of words.

    python benchmarks/similarity_speed.py text.txt                          (any plain text)

Eight hardly trained models read the same words, and all their layers are compared pair by pair by
debiased CKA, with its null. What reading the states takes stands beside it. Memory is the peak of a
fresh process that compares two models, whose states are drawn and lie on disk.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import torch

from lmcompare.evaluation.kind import Context
from lmcompare.evaluation.similarity.layers import Layers, Places, layers_of
from lmcompare.evaluation.similarity.measure import Session
from lmcompare.evaluation.similarity.options import MEASURES, SimilarityOptions
from lmcompare.evaluation.similarity.pairs import compare_layers
from lmcompare.evaluation.states.word_states import States
from lmcompare.runs.finding import find_models

AIM = 120  # seconds, on two cores
SIZES = (20_000, 200_000)
WIDTH, LAYERS, TEXT = 256, 7, 100  # of drawn states; words of a text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--measures", default="cka")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="words, for memory")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        # first, as a process counts the memory of the one that starts it, too
        print("| words | peak memory (MB) |\n|---:|---:|")
        for num in arguments.sizes:
            print(f"| {num:,} | {_peak(num, folder):,.0f} |", flush=True)
        study = Path(folder) / "speed"
        for seed in range(arguments.models):
            command = [
                *(sys.executable, "-m", "lmcompare_cli.app", "train", "-o", "mlm"),
                *("-m", arguments.model, "-b", "1 steps", "--data", str(arguments.text)),
                *("--seed", str(seed), "--out", folder, "--study", "speed"),
            ]
            subprocess.run(command, check=True, capture_output=True)
        _speed(study, Path(folder), arguments)


def _speed(study: Path, folder: Path, arguments: argparse.Namespace) -> None:
    runs = find_models([study], warn=print)
    options = SimilarityOptions(
        split="train", num_words=arguments.words, measures=arguments.measures.split(",")
    )
    context = Context(cache=folder, warn=print, fail=print)
    session = Session(runs, options, context)
    begun = time.perf_counter()
    states, last = 0.0, begun

    def report(what: str, share: float) -> None:
        nonlocal states, last
        now = time.perf_counter()
        if what.startswith("states"):
            states += now - last
        last = now

    num = 0
    for run in runs:
        for record in session.measure(run, report):
            num += 1
            words, pairs = record.num_words, len(record.layers) * len(record.other_layers)
    total = time.perf_counter() - begun
    session.close()
    print(f"\n{len(runs)} models, {num} pairs, {pairs} pairs of layers each, {words:,} words")
    print(f"measures: {', '.join(options.measures)}; {arguments.threads} threads\n")
    print("| part | seconds |\n|---|---:|")
    print(f"| words and states | {states:.0f} |")
    print(f"| similarities, intervals and nulls | {total - states:.0f} |")
    print(f"| in all | {total:.0f} |")
    if words >= SIZES[0] and options.measures == ("cka",) and total > AIM:
        sys.exit(f"slower than the aim of {AIM} seconds")


def _peak(num: int, folder: str) -> float:
    context = multiprocessing.get_context("spawn")
    results: SimpleQueue[float] = context.SimpleQueue()
    process = context.Process(target=_compare, args=(num, folder, results))
    process.start()
    process.join()
    return results.get()


def _compare(num: int, folder: str, results: "SimpleQueue[float]") -> None:
    """Compare two models whose states are drawn; the pages of their files count as memory, too."""
    places = Places.of(np.arange(0, num + 1, TEXT))
    one, other = (
        _drawn(num, Path(folder) / f"drawn-{num}-{each}", places, each) for each in (0, 1)
    )
    compare_layers(one, other, MEASURES[:1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, but bytes on macOS
    results.put(peak / (1e6 if sys.platform == "darwin" else 1e3))


def _drawn(num: int, folder: Path, places: Places, seed: int) -> Layers:
    folder.mkdir()
    draw = np.random.default_rng(seed)
    for layer in range(LAYERS):
        stored = np.lib.format.open_memmap(
            folder / f"layer-{layer}.npy", mode="w+", dtype=np.float16, shape=(num, WIDTH)
        )
        for start in range(0, num, TEXT * 10):
            stored[start : start + TEXT * 10] = draw.normal(size=(TEXT * 10, WIDTH))
        stored.flush()
    states = States(
        folder=folder,
        layers=range(LAYERS),
        known=np.ones(num, dtype=bool),
        width=WIDTH,
        counts={},
    )
    return layers_of(states, places, folder)


if __name__ == "__main__":
    main()
