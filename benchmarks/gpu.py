"""Speed on a GPU: training beside transformers, every objective beside clm, writing and scoring.

    make gpu-bench                          (at most five minutes)
    python benchmarks/gpu.py --parts 124M --only clm mlm --out results --seconds 120

Each figure is of a process of its own. A group of them compiles at once, and then each is timed
while the others rest. A result is written to `gpu.jsonl` as soon as it is there, and a process that
fails or takes too long is one line of it and takes no other with it. What a part leaves of its time
goes to those after it.

MFU is the operations of matrix products that are really done (`lmcompare.model.flops`; of a peer
those of the usual formula, 6 x parameters and attention) beside the rate that the card's maker
gives for dense bfloat16.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gpu_table import RESULTS, line_of, summary

from lmcompare.objectives import OBJECTIVES

PEERS = ("GPT2LMHeadModel", "LlamaForCausalLM", "ModernBertForMaskedLM")
FIRST = ("clm", "mlm", "plm", "glm", "bart", "ul2", "fim", "hybrid")
# of each part: its share of the time, and how many processes compile, and so lie in memory, at once
PARTS = {
    "124M": (5, 4),
    "peers": (3, 3),
    "writing": (2, 4),
    "scoring": (1, 4),
    "25M": (3, 6),
    "ways": (1, 4),
    "nano": (2, 12),
}
# what runs where there is no GPU: each kind of job once
TOY_TRAINS = ("clm", "bart")
TOY_SKIPS = {
    "size": ("25M",),
    "rows": (32, 512),
    "setting": ("bfloat16+static",),
    "way": ("plain",),
}
Job = dict[str, Any]


class Worker:
    """A process that does a job when told to, and what it says, line by line."""

    def __init__(self, job: Job, log: Path):
        self.job = job
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--work", json.dumps(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "4"},
            )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.put(line)
        self.lines.put("")

    def said(self, deadline: float) -> Job:
        """The next thing it says; what went wrong, if it says nothing."""
        try:
            line = self.lines.get(timeout=max(0.1, deadline - time.monotonic()))
        except queue.Empty:
            return {"failed": "took too long"}
        return json.loads(line) if line else {"failed": f"ended ({self.process.wait()}), see log"}

    def go(self, deadline: float) -> Job:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"failed": "ended, see log"}
        return self.said(deadline)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def jobs_of(part: str, only: list[str]) -> list[Job]:
    """What a part measures, the most wanted first."""
    jobs: list[Job]
    if part == "peers":
        jobs = [
            {"kind": "peer", "name": name, "size": size}
            for size in ("124M", "25M")
            for name in PEERS
        ]
    elif part == "writing":
        jobs = [
            {"kind": "writing", "name": name, "rows": rows, "setting": setting}
            for rows in (1, 32)
            for name, setting in (
                ("clm", "bfloat16"),
                ("LlamaForCausalLM", "bfloat16+dynamic"),
                ("LlamaForCausalLM", "bfloat16+static"),
                ("bart", "bfloat16"),
                ("BartForConditionalGeneration", "bfloat16+dynamic"),
            )
        ]
    elif part == "scoring":
        jobs = [
            {"kind": "scoring", "name": name, "rows": rows}
            for name in ("clm", "mlm")
            for rows in ((0, 64, 512) if name == "clm" else (0, 1))
        ]
    elif part == "ways":
        jobs = [
            {"kind": "ours", "name": name, "size": "nano", "way": way}
            for name in ("clm", "ul2")
            for way in ("replayed", "plain")
        ]
    else:
        ordered = [*FIRST, *(name for name in OBJECTIVES if name not in FIRST)]
        jobs = [{"kind": "ours", "name": name, "size": part} for name in ordered]
    return [job for job in jobs if not only or job["name"] in only]


def in_toy(job: Job) -> bool:
    """Whether a job shows in small what no other shows."""
    trained = job["kind"] != "ours" or job["name"] in TOY_TRAINS
    return trained and not any(job.get(key) in values for key, values in TOY_SKIPS.items())


def measure(jobs: list[Job], *, group: int, out: Path, deadline: float) -> None:
    """Do the jobs, a group at a time, and write down what came of each."""
    for start in range(0, len(jobs), group):
        chosen = jobs[start : start + group]
        if time.monotonic() > deadline:
            for job in chosen:
                write({**job, "failed": "no time was left"}, out)
            continue
        workers = [Worker(job, out / "gpu.log") for job in chosen]
        try:
            ready = [worker.said(deadline) for worker in workers]
            for worker, first in zip(workers, ready, strict=True):
                found = first if "failed" in first else {**first, **worker.go(deadline)}
                write({**worker.job, **found}, out)
                worker.close()
        finally:
            for worker in workers:
                worker.close()


def write(line: Job, out: Path) -> None:
    line = {"device": device(), **line}
    with (out / RESULTS).open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(line_of(line), flush=True)


def device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--only", nargs="+", default=[], help="objectives, or peers")
    parser.add_argument("--seconds", type=float, default=300, help="of all parts, at most")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "build/gpu")))
    parser.add_argument("--toy", action="store_true", help="tiny, to run all this on a processor")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        import gpu_work

        gpu_work.serve(json.loads(arguments.work))
        return
    if device() == "no GPU" and not arguments.toy:
        print("no GPU here: speed on one was not measured (--toy runs all that measures it)")
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + arguments.seconds
    for number, part in enumerate(arguments.parts):
        share, group = PARTS[part]
        left = sum(PARTS[each][0] for each in arguments.parts[number:])
        deadline = time.monotonic() + max(0.0, end - time.monotonic()) * share / left
        jobs = [
            {**job, "part": part, "toy": arguments.toy} for job in jobs_of(part, arguments.only)
        ]
        if arguments.toy:  # none of which is to fail for want of time
            deadline = time.monotonic() + arguments.seconds
            jobs, group = [job for job in jobs if in_toy(job)], 2
        measure(jobs, group=group, out=arguments.out, deadline=deadline)
    print("\n".join(summary(arguments.out)))


if __name__ == "__main__":
    main()
