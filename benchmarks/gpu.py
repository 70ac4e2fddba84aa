"""Speed on a GPU: training beside transformers, every objective beside clm, small models.

    make gpu-bench                          (about six minutes on an H100)
    python benchmarks/gpu.py --parts 124M --only clm mlm --out results --seconds 120

Each figure is of a process of its own. A group of them compiles at once, and then each is timed
while the others rest. A result is written to `gpu.jsonl` as soon as it is there, and a process that
fails or takes too long is one line of the table and takes no other with it.

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

from lmcompare.objectives import OBJECTIVES

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
PEERS = ("GPT2LMHeadModel", "LlamaForCausalLM", "ModernBertForMaskedLM")
FIRST = ("clm", "mlm", "plm", "glm", "bart", "ul2", "fim", "hybrid")
GROUP = {"124M": 4, "25M": 6, "nano": 12, "peers": 2, "ways": 4}  # compiled at once, so held too
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
    ordered = [*FIRST, *(name for name in OBJECTIVES if name not in FIRST)]
    names = [name for name in ordered if not only or name in only]
    if part == "peers":
        peers = [name for name in PEERS if not only or name in only]
        return [{"kind": "peer", "name": name, "size": "124M"} for name in peers]
    if part == "ways":  # of doing the passes of a small model
        return [
            {"kind": "ours", "name": name, "size": "nano", "way": way}
            for name in ("clm", "ul2")
            for way in ("replayed", "plain")
        ]
    return [{"kind": "ours", "name": name, "size": part} for name in names]


def measure(jobs: list[Job], *, group: int, out: Path, deadline: float) -> list[Job]:
    """The jobs with what came of each, a group at a time."""
    done: list[Job] = []
    for start in range(0, len(jobs), group):
        workers = [Worker(job, out / "gpu.log") for job in jobs[start : start + group]]
        ready = [worker.said(deadline) for worker in workers]
        for worker, first in zip(workers, ready, strict=True):
            found = first if "failed" in first else {**first, **worker.go(deadline)}
            line = {"device": device(), **worker.job, **found}
            with (out / "gpu.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(row(line), flush=True)
            done.append(line)
            worker.close()
    return done


def device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def peak(name: str) -> float:
    return next((rate for model, rate in PEAKS.items() if model in name), float("nan"))


def row(line: Job) -> str:
    """A line of the table."""
    what = f"{line['size']:5} {line['name']:22} {line.get('way', ''):8}"
    if "failed" in line:
        return f"{what} {line['failed']}"
    mfu = line["tflops"] * 1e12 / peak(line["device"])
    return (
        f"{what} {line['parameters'] / 1e6:6.1f}M {line['ms']:8.2f} ms "
        f"{line['tokens_per_second']:9,} tok/s {line['tflops']:6.1f} TFLOP/s {mfu:6.1%} MFU "
        f"{line['memory_gb']:5.1f} GB {line.get('versions', ''):>3} {line['ready']:5.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["124M", "peers", "25M", "ways", "nano"])
    parser.add_argument("--only", nargs="+", default=[], help="objectives, or peers")
    parser.add_argument("--seconds", type=float, default=200, help="of each part, at most")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "build/gpu")))
    parser.add_argument("--smoke", action="store_true", help="tiny, to try this on a processor")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        import gpu_work

        gpu_work.serve(json.loads(arguments.work))
        return
    if device() == "no GPU" and not arguments.smoke:
        print("no GPU here: the speed of training on one was not measured")
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"{device()}; operations are those really done, MFU beside {peak(device()):.3g} a second")
    print("size, what, way, parameters, step, speed, rate, memory, versions, ready after")
    for part in arguments.parts:
        jobs = [{**job, "smoke": arguments.smoke} for job in jobs_of(part, arguments.only)]
        deadline = time.monotonic() + arguments.seconds
        measure(jobs, group=GROUP[part], out=arguments.out, deadline=deadline)


if __name__ == "__main__":
    main()
