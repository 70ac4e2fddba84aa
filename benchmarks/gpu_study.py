"""Small models on one GPU: how many runs at a time are best, and then a study of them.

    LMCOMPARE_TEXT=train.txt.gz python benchmarks/gpu_study.py --seconds 300

Runs of one second or so, N at a time, tell the tokens a second of all together; the study then runs
with the best N for the time that is left. It can be stopped and started again. What comes of each
part is written to `gpu-study.json` at once.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

from gpu import device
from gpu_table import STUDY as FOUND
from gpu_table import summary

STUDY = Path(__file__).parents[1] / "experiments" / "gpu" / "study.toml"
DOCS = Path(__file__).parents[1] / "docs" / "objectives.md"  # text enough for a toy
TRIAL = """[shared]
model = "nano"
budget = "{budget}"
seeds = {seeds}
data = {{ source = "{text}", document = "line" }}
batch = {{ rows = {rows}, length = 128 }}
validation = {{ times = {validations} }}
runtime = {{ precision = "{precision}", threads = 1, save_every = 100000 }}

[[arm]]
objective = "clm"

[[arm]]
objective = "ul2"
"""


def train(study: Path, parallel: int, seconds: float) -> str:
    """How it ended, in words; what is not finished in time is saved."""
    command = [sys.executable, "-m", "lmcompare_cli.app", "train", str(study)]
    process = subprocess.Popen(
        [*command, "--parallel", str(parallel)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        code = process.wait(timeout=max(1, seconds))
        return f"failed ({code}), see above" if code else "finished"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    return "not finished in time"


def trial(parallel: int, *, folder: Path, settings: dict[str, Any], seconds: float) -> float:
    """Tokens a second of all runs together, once they have met their shapes."""
    study = folder / f"at-once-{parallel}" / "study.toml"
    study.parent.mkdir(parents=True, exist_ok=True)
    seeds = list(range(max(1, parallel // 2)))
    study.write_text(TRIAL.format(seeds=seeds, validations=0, **settings))
    start = time.monotonic()
    ended = train(study, parallel, seconds)
    took = time.monotonic() - start
    rates = []
    for metrics in study.parent.glob("*/metrics.jsonl"):
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        if len(lines) > 3:
            first, last = lines[len(lines) // 3], lines[-1]
            gained = last["tokens"] - first["tokens"]
            rates.append(gained / (last["seconds"] - first["seconds"]))
    together = min(parallel, len(rates)) * mean(rates) if rates else 0.0
    print(
        f"{parallel:3} at a time: {together:12,.0f} tokens/s together; {ended} after {took:.0f} s"
    )
    return together


def arms(study: Path) -> dict[str, dict[str, float]]:
    """What the runs of each arm came to."""
    found = defaultdict(list)
    for done in sorted(study.parent.glob("*/done.json")):
        name = re.sub(r"-s\d+-\w+$", "", done.parent.name)
        found[name].append(json.loads(done.read_text()))
    return {
        name: {
            "runs": len(runs),
            "validation": mean(run["validation"] for run in runs),
            "seconds": mean(run["spent"]["seconds"] for run in runs),
        }
        for name, runs in found.items()
    }


def keep(study: Path, out: Path) -> None:
    """What runs leave, but for their weights."""
    with tarfile.open(out / "study.tar.gz", "w:gz") as archive:
        for pattern in ("*/done.json", "*/run.json", "*/metrics.jsonl"):
            for file in sorted(study.parent.glob(pattern)):
                archive.add(file, file.relative_to(study.parents[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = os.environ.get("LMCOMPARE_TEXT", "train.txt.gz")
    parser.add_argument("--text", default=given, help="default: $LMCOMPARE_TEXT, or train.txt.gz")
    parser.add_argument("--at-once", nargs="+", type=int, default=[1, 4, 12])
    parser.add_argument("--trial", default="4M tokens", help="budget of a run of a trial")
    parser.add_argument("--seconds", type=float, default=300, help="of everything")
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "build/gpu")))
    parser.add_argument("--toy", action="store_true", help="tiny, to run all this on a processor")
    arguments = parser.parse_args()
    source, rows, budget, at_once = arguments.text, 64, arguments.trial, arguments.at_once
    if arguments.toy:
        source, rows, budget, at_once = str(DOCS), 2, "8 steps", [1, 2]
    elif not Path(source).exists():
        print(f"the study on a GPU is skipped: there is no text {source} (LMCOMPARE_TEXT)")
        return
    deadline = time.monotonic() + arguments.seconds
    folder = arguments.out / "runs"
    # some processors take a hundred times as long for bfloat16
    precision = "float32" if arguments.toy else "bfloat16"
    text = str(Path(source).resolve())
    settings = {"text": text, "rows": rows, "budget": budget, "precision": precision}
    found: dict[str, Any] = {"device": device(), "toy": arguments.toy, "at_once": {}}

    def write(**more: Any) -> None:
        found.update(more)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / FOUND).write_text(json.dumps(found, indent=1))

    for number in at_once:
        left = deadline - time.monotonic()
        rate = trial(number, folder=folder, settings=settings, seconds=left / 2)
        write(at_once={**found["at_once"], number: rate})
    best = max(at_once, key=lambda number: found["at_once"][number])
    study = folder / "study" / "study.toml"
    study.parent.mkdir(parents=True, exist_ok=True)
    if arguments.toy:
        study.write_text(TRIAL.format(seeds=[0], validations=1, **settings))
    else:
        study.write_text(arguments.study.read_text().replace("train.txt.gz", text))
    ended = train(study, best, deadline - time.monotonic() - 25)
    print(f"the study, {best} at a time: {ended}")
    write(best=best, ended=ended, arms=arms(study))
    keep(study, arguments.out)
    print("\n".join(summary(arguments.out)))


if __name__ == "__main__":
    main()
