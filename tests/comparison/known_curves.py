"""Runs whose answers to the common question are known, step by step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run
from tests.comparison.known_runs import write_run

A_STEP = {"tokens": 2000, "targets": 300, "flops": 10**9, "seconds": 0.5}


def log(run: Run, common: Mapping[int, float | None]) -> Run:
    """Log an answer of so many nats at each of some steps; a step is `A_STEP` of everything."""
    lines = [
        MetricsLine(
            step=step,
            **{name: step * each for name, each in A_STEP.items()},
            loss=3.5,
            learning_rate=1e-3,
            gradient_norm=1.0,
            common=nats,
        )
        for step, nats in common.items()
    ]
    run.metrics_file.write_text("".join(line.model_dump_json() + "\n" for line in lines))
    return run


def learner(
    study: Path, arm: str, *seeds: Mapping[int, float | None], **settings: Any
) -> list[Run]:
    """An arm whose seeds answered so."""
    return [log(write_run(study, arm, seed, **settings), each) for seed, each in enumerate(seeds)]
