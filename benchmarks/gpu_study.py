"""Small models on one GPU: how many runs at a time are best, and then a study of them.

    LMCOMPARE_TEXT=train.txt.gz python benchmarks/gpu_study.py --seconds 300

Runs of one second or so, N at a time, tell the tokens a second of all together; the study then runs
with the best N for the time that is left. It can be stopped and started again.
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

STUDY = Path(__file__).parents[1] / "experiments" / "gpu" / "study.toml"
TRIAL = """[shared]
model = "nano"
budget = "{budget}"
seeds = {seeds}
data = {{ source = "{text}" }}
batch = {{ rows = 64, length = 128 }}
validation = {{ times = 0 }}
runtime = {{ precision = "bfloat16", threads = 1, save_every = 100000 }}

[[arm]]
objective = "clm"

[[arm]]
objective = "ul2"
"""


def train(study: Path, parallel: int, seconds: float) -> bool:
    """Whether it came to its end; what has not by then is saved."""
    command = [sys.executable, "-m", "lmcompare_cli.app", "train", str(study)]
    process = subprocess.Popen(
        [*command, "--parallel", str(parallel)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(timeout=max(1, seconds)) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    return False


def trial(parallel: int, *, folder: Path, text: str, budget: str, seconds: float) -> float:
    """Tokens a second of all runs together, once they have met their shapes."""
    study = folder / f"at-once-{parallel}" / "study.toml"
    study.parent.mkdir(parents=True, exist_ok=True)
    seeds = list(range(max(1, parallel // 2)))
    study.write_text(TRIAL.format(budget=budget, seeds=seeds, text=text))
    start = time.monotonic()
    train(study, parallel, seconds)
    took = time.monotonic() - start
    rates = []
    for metrics in study.parent.glob("*/metrics.jsonl"):
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        if len(lines) > 3:
            first, last = lines[len(lines) // 3], lines[-1]
            gained = last["tokens"] - first["tokens"]
            rates.append(gained / (last["seconds"] - first["seconds"]))
    together = min(parallel, len(rates)) * mean(rates) if rates else 0.0
    print(f"{parallel:3} at a time: {together:12,.0f} tokens/s together; {took:.0f} s in all")
    return together


def arms(study: Path) -> None:
    """A line for each arm: what its runs came to."""
    found = defaultdict(list)
    for done in sorted(study.parent.glob("*/done.json")):
        name = re.sub(r"-s\d+-\w+$", "", done.parent.name)
        found[name].append(json.loads(done.read_text()))
    for name, runs in found.items():
        print(
            f"{name:8} {len(runs)} runs, validation {mean(run['validation'] for run in runs):7.4f} "
            f"nats a target, {mean(run['spent']['seconds'] for run in runs):6.1f} s each"
        )
    print(f"{sum(map(len, found.values()))} runs finished")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    text = os.environ.get("LMCOMPARE_TEXT", "train.txt.gz")
    parser.add_argument("--text", default=text, help="default: $LMCOMPARE_TEXT, or train.txt.gz")
    parser.add_argument("--at-once", nargs="+", type=int, default=[1, 4, 12])
    parser.add_argument("--trial", default="4M tokens", help="budget of a run of a trial")
    parser.add_argument("--seconds", type=float, default=300, help="of everything")
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "build/gpu")))
    arguments = parser.parse_args()
    if not Path(arguments.text).exists():
        print(f"the study on a GPU is skipped: there is no text {arguments.text} (LMCOMPARE_TEXT)")
        return
    deadline = time.monotonic() + arguments.seconds
    source = str(Path(arguments.text).resolve())
    folder = Path("build") / "gpu-study"
    rates = {
        number: trial(
            number,
            folder=folder,
            text=source,
            budget=arguments.trial,
            seconds=deadline - time.monotonic(),
        )
        for number in arguments.at_once
    }
    best = max(rates, key=lambda number: rates[number])
    study = folder / "study" / "study.toml"
    study.parent.mkdir(parents=True, exist_ok=True)
    study.write_text(arguments.study.read_text().replace("train.txt.gz", source))
    whole = train(study, best, deadline - time.monotonic() - 25)
    print(f"the study, {best} at a time: {'finished' if whole else 'not finished in time'}")
    arms(study)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(arguments.out / "study.tar.gz", "w:gz") as archive:
        for pattern in ("*/done.json", "*/run.json", "*/metrics.jsonl"):
            for file in sorted(study.parent.glob(pattern)):
                archive.add(file, file.relative_to(folder))


if __name__ == "__main__":
    main()
