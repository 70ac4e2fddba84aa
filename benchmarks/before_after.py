"""Speed of this working tree beside that of another commit: training, writing and scoring.

    .venv/bin/python benchmarks/before_after.py COMMIT      (about twenty minutes on two cores)

The commit is checked out into a temporary folder. The same work is done by both in turn, a step
each, and a ratio is the median over the rounds of that commit's seconds to ours: above 1 this tree
is faster. Beside it stand the quartiles of the rounds. Training is in bfloat16 where the processor
multiplies it, else in float32.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from turns import Contestant, take_turns

from lmcompare import devices
from lmcompare.objectives import OBJECTIVES

HERE = Path(__file__).resolve().parent.parent
PARTS = ("training", "writing", "scoring")
PREPARE = (
    "import argparse, pathlib, sys, scoring_speed; scoring_speed.prepare(pathlib.Path(sys.argv[1]),"
    " 'nano', argparse.Namespace(suite=None, sentences=None))"
)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        command = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*command, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*command, "remove", "--force", str(tree)], check=True)


def environment(tree: Path) -> dict[str, str]:
    """That in which the packages of a tree are imported, not those that are installed."""
    return {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'cli'}"}


def contestant(tree: Path, script: str, name: str, setting: str) -> Contestant:
    path = str(tree / "benchmarks" / script)
    return Contestant(path, name, setting, environment=environment(tree))


def race(what: str, pair: list[Contestant], rounds: int) -> None:
    before, after = pair
    take_turns([before, after], rounds)
    ratios = [a / b for a, b in zip(before.seconds, after.seconds, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    megabytes = after.megabytes - before.megabytes
    print(f"{what:24} {middle:6.3f}   {low:.3f} to {high:.3f}   {megabytes:+7,.0f} MB", flush=True)
    before.close()
    after.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    rounds = arguments.rounds
    with checked_out(arguments.commit) as old, tempfile.TemporaryDirectory() as folder:
        trees = (old, HERE)
        precision = devices.precision_of("auto", devices.choose_device("cpu"))
        print("                          ratio   quartiles         memory")
        for name in OBJECTIVES if "training" in arguments.parts else ():
            pair = [contestant(tree, "train_speed.py", name, precision) for tree in trees]
            race(f"training {name}", pair, rounds)
        for name in ("clm", "t5", "bart") if "writing" in arguments.parts else ():
            for rows in (1, 32):
                work = f"{name}/nano/{rows}"
                pair = [contestant(tree, "decode_speed.py", work, "float32") for tree in trees]
                race(f"writing {name}, {rows} at once", pair, rounds)
        if "scoring" not in arguments.parts:
            return
        places = [Path(folder) / str(number) for number, _ in enumerate(trees)]
        for tree, place in zip(trees, places, strict=True):
            place.mkdir()
            subprocess.run(
                [sys.executable, "-c", PREPARE, str(place)],
                cwd=tree / "benchmarks",
                env=environment(tree),
                check=True,
            )
        for name in ("clm", "mlm"):
            pair = [
                contestant(tree, "scoring_speed.py", f"ours/{name}@{place}", "-")
                for tree, place in zip(trees, places, strict=True)
            ]
            race(f"scoring {name}", pair, rounds)


if __name__ == "__main__":
    main()
