"""Contestants of a benchmark: processes of their own that take a step in turn, when told to."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

# a step, which says what it did beside taking time
Step = Callable[[], dict[str, Any]]


def serve(make: Callable[[], tuple[Step, int]]) -> None:
    """Be a contestant: a step for every line of standard input, and its seconds.

    Args:
        make: a step and the number of its parameters.
    """
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    step, num_parameters = make()
    step()
    step()
    print(json.dumps({"parameters": num_parameters}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        facts = step()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "megabytes": peak, **facts}), flush=True)


@dataclass
class Contestant:
    """A process that takes a step when told to: `script --work NAME SETTING`."""

    script: str
    name: str
    setting: str = ""
    environment: dict[str, str] | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        command = [sys.executable, self.script, "--work", self.name, self.setting]
        self.process = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.facts = json.loads(self._answer() or "null")  # None if it cannot run so

    def step(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        self.steps.append(json.loads(self._answer()))

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    @property
    def seconds(self) -> list[float]:
        return [step["seconds"] for step in self.steps]

    @property
    def typical(self) -> float:
        """Seconds of a step, the median."""
        return statistics.median(self.seconds)

    @property
    def rates(self) -> list[float]:
        """Operations a second, step by step."""
        return [step["flops"] / step["seconds"] for step in self.steps]

    @property
    def megabytes(self) -> float:
        return float(self.steps[-1]["megabytes"])

    def faster_than(self, other: "Contestant") -> float:
        return median_ratio(other.seconds, self.seconds)


def median_ratio(left: list[float], right: list[float]) -> float:
    """Of figures of the same rounds."""
    return statistics.median(a / b for a, b in zip(left, right, strict=True))


def take_turns(contestants: Iterable[Contestant], rounds: int) -> None:
    contestants = list(contestants)
    for _ in range(rounds):
        for contestant in contestants:
            contestant.step()


def fastest(tried: Iterable[Contestant], *, rounds: int, work: float, unit: str) -> Contestant:
    """The one of them that is fastest, its timings forgotten; the others are closed.

    Args:
        tried: those who cannot run are left out.
        rounds: steps of each.
        work: what is done in a step, in `unit`s.
        unit: of the speeds that are printed.
    """
    able = [contestant for contestant in tried if contestant.facts]
    take_turns(able, rounds)
    for contestant in able:
        speed = f"{work / contestant.typical:8,.0f} {unit}/s"
        print(
            f"  {contestant.name:28} {contestant.setting:20} {speed}", file=sys.stderr, flush=True
        )
    winner = min(able, key=lambda contestant: contestant.typical)
    for contestant in able:
        if contestant is not winner:
            contestant.close()
    winner.steps.clear()
    return winner
