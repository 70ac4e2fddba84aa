"""Time to compare, list and report many finished runs.

    python benchmarks/compare_speed.py experiments/textbook              (any finished study)

The runs of a study are copied under other seeds, with all that was logged and measured of them but
without their models, until there are as many as wanted. Each command is a process of its own, and
its time is all of it, the start of Python included. The faster of two tries counts.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lmcompare import files
from lmcompare.config.run import parse_run
from lmcompare.evaluation.registry import kinds
from lmcompare.runs.finding import find_runs
from lmcompare.runs.run import Run

TRIES = 2
NUM_REPORTED = 36  # runs of a report: twelve arms, three seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--runs", type=int, default=1_000)
    arguments = parser.parse_args()
    sources = [run for run in find_runs([arguments.study]) if run.state() == "finished"]
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder) / "many", Path(folder) / "few"
        _copy(sources, many / "many", arguments.runs)
        _copy(sources, few / "few", NUM_REPORTED)
        print("| command | runs | seconds | processor seconds |\n|---|---:|---:|---:|")
        _row("--help", 0, ["--help"], many)
        _row("runs", arguments.runs, ["runs", "--out", str(many)], many)
        _row("compare", arguments.runs, ["compare", str(many / "many")], many)
        _row("compare", NUM_REPORTED, ["compare", str(few / "few")], few)
        _row("report", NUM_REPORTED, ["report", str(few / "few")], few)
        size = (few / "few" / "report.html").stat().st_size
        print(f"\nthe report: {size / 1e6:.2f} MB")


def _copy(sources: Sequence[Run], study: Path, num: int) -> None:
    """Write runs that were never trained, each like one of `sources` but for its seed."""
    for number in range(num):
        source, seed = sources[number % len(sources)], number // len(sources)
        record, done = source.record(), source.done()
        assert done is not None
        config = parse_run({**record.given, "seed": seed})
        run = Run(study / f"{record.arm}-s{seed}-{config.identity}-{number % len(sources)}")
        changed = {"config": config, "given": config.given, "identity": config.identity}
        record.model_copy(update=changed).write(run.record_file)
        for file in ("metrics_file", "tokenizer_file", "counts_file"):
            if getattr(source, file).exists():
                shutil.copy(getattr(source, file), getattr(run, file))
        if done.manifest is not None:
            manifest = done.manifest.model_copy(update={"run": run.hash})
            done = done.model_copy(update={"manifest": manifest})
        done.write(run.done_file)
        for kind in kinds().values():
            for result in source.results.read(kind.record):
                items = source.results.items_file_of(result)
                kept = run.results.write(result.model_copy(update={"seed": seed}), [])
                shutil.copy(items, run.results.items_file_of(kept))
                run.results.amend(kept, items_hash=files.checksum(run.results.items_file_of(kept)))


def _row(name: str, num: int, arguments: Sequence[str], folder: Path) -> None:
    best = min(_seconds(arguments, folder) for _ in range(TRIES))
    print(f"| {name} | {num:,} | {best[0]:.2f} | {best[1]:.2f} |", flush=True)


def _seconds(arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """Return how long a command took, and what it took of the processor."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "lmcompare_cli.app", *arguments],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    took, after = time.perf_counter() - started, os.times()
    used = after.children_user + after.children_system
    return took, used - before.children_user - before.children_system


if __name__ == "__main__":
    main()
