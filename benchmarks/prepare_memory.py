"""Does preparing a corpus need more memory for more text?

Makes texts of several sizes by a Markov chain over the words of `python-docs`, prepares each in a
fresh process and prints the peak of its resident memory, as a Markdown table:

    python benchmarks/prepare_memory.py --megabytes 30 3000 --folder /a/disk/with/room

Room for three times the largest text is needed while it runs; nothing is left behind. The last
column is the peak over that of the first size, and should stay below 1.3.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np

from lmcompare.data import TokenizerConfig
from lmcompare.data.corpus import DataConfig, open_corpus
from lmcompare.data.prepared import prepare

CHAINS = 2_000  # paragraphs made at once
LENGTH = 100  # words in a paragraph
RENEWED = 0.02  # of the words are drawn from all words, not from those that follow the last one
RARE = 0.002  # of the words are numbers that were never seen


def paragraphs(cache: Path, *, seed: int) -> Iterator[str]:
    """Text without end: words that follow one another as in the documentation of Python."""
    draw = np.random.default_rng(seed)
    words = " ".join(open_corpus("python-docs", data=DataConfig(), cache=cache).texts()).split()
    _, identity, counts = np.unique(words, return_inverse=True, return_counts=True)
    places = np.argsort(identity, kind="stable")  # of each word in the text, one word after another
    first = np.cumsum(counts) - counts
    while True:
        chain = [draw.integers(len(words), size=CHAINS)]
        for _ in range(LENGTH - 1):
            word = identity[chain[-1]]
            again = places[first[word] + (draw.random(CHAINS) * counts[word]).astype(int)]
            renewed = draw.random(CHAINS) < RENEWED
            following = np.where(renewed, draw.integers(len(words), size=CHAINS), again + 1)
            chain.append(following % len(words))
        for row in np.stack(chain, axis=1).tolist():
            paragraph = [words[place] for place in row]
            for number in np.nonzero(draw.random(LENGTH) < RARE)[0]:
                paragraph[number] = f"{draw.integers(2**48):x}"
            yield " ".join(paragraph) + "\n\n"


def write_text(path: Path, num_bytes: int, cache: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        written = 0
        for paragraph in paragraphs(cache, seed=0):
            written += file.write(paragraph)
            if written >= num_bytes:
                return


def measure(path: Path, cache: Path, results: "SimpleQueue[tuple[float, float]]") -> None:
    started = time.perf_counter()
    prepare(
        DataConfig(source=str(path)),
        TokenizerConfig(),
        cache=cache,
        report=lambda message: print(f"  {message}", file=sys.stderr),
    )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, but bytes on macOS
    results.put((seconds, peak / (1e6 if sys.platform == "darwin" else 1e3)))


def in_new_process(function: Callable[..., None], *arguments: object) -> None:
    """Run it in a process that starts small: a forked one would count our memory as its own."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit(f"{function.__name__} failed with exit code {process.exitcode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    print("| text, MB | seconds | MB/s | peak, MB | ratio |")
    print("|---:|---:|---:|---:|---:|", flush=True)
    first = None
    for megabytes in arguments.megabytes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            text, cache = Path(folder) / "text.txt", Path(folder) / "cache"
            results = multiprocessing.get_context("spawn").SimpleQueue()
            in_new_process(write_text, text, megabytes * 1_000_000, cache)
            in_new_process(measure, text, cache, results)
            seconds, peak = results.get()
        first = first or peak
        row = (f"{megabytes:,}", f"{seconds:.0f}", f"{megabytes / seconds:.1f}", f"{peak:.0f}")
        print("|", " | ".join([*row, f"{peak / first:.2f}"]), "|", flush=True)


if __name__ == "__main__":
    main()
