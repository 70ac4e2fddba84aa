"""Benchmarks with known answers, and the table of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcompare.comparison import Comparison
from lmcompare.comparison.tables.tasks import BenchmarkRow, BenchmarkTable, Block
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord
from lmcompare.runs.run import Run
from tests.comparison.known_runs import last_step, write_run

NUM = 41  # examples


EVEN = [float(i % 2) for i in range(1, NUM)] + [0.5]  # at chance


def right(num: int, *, of: int = NUM) -> list[float]:
    """The first so many examples are right."""
    return [1.0] * num + [0.0] * (of - num)


def ask(
    run: Run,
    score: Sequence[float] | None,
    *,
    untrained: Sequence[float] | None = None,
    max_score: Sequence[float] | float = 1.0,
    parts: Sequence[Mapping[str, str]] | None = None,
    **changes: Any,
) -> TaskRecord:
    """Keep answers to a benchmark, and those of the model as it started if there are any."""
    record = run.record()
    num = len(score or [0.0] * NUM)
    shares = [float(max_score)] * num if isinstance(max_score, float | int) else [*max_score]

    def keep(score: Sequence[float] | None, **more: Any) -> TaskRecord:
        items = [
            TaskItem(item=3 * i, score=each, max_score=share, parts=parts[i] if parts else {})
            for i, (each, share) in enumerate(zip(score or [], shares, strict=False))
        ]
        levels: dict[str, dict[str, list[float]]] = {}
        for item in items:
            for level, part in item.parts.items():
                levels.setdefault(level, {}).setdefault(part, []).append(item.score)
        known = {
            "task": "zorro",
            "arm": record.arm,
            "seed": record.config.seed,
            "source": "zorro/*.txt",
            "text": "cafe" * 8,
            "step": last_step(run),
            "kind": "pairs",
            "group": "grammar",
            "version": 1,
            "protocol": "asked",
            "metric": "accuracy",
            "chance": 0.5,
            "num_items": num,
        }
        answer = {
            "description": "causal of whole sentences, summed",
            "scoring": "causal",
            "likelihood": "exact",
            "value": sum(score or []) / sum(shares),
            "standard_error": 0.0625,
            "parts": {
                level: {part: (sum(own) / len(own), len(own)) for part, own in each.items()}
                for level, each in levels.items()
            },
        }
        known |= answer if score else {}
        kept = TaskRecord(**(known | changes | more))
        run.results.write(kept, items)
        return kept

    if untrained is not None:
        keep(untrained, step=0)
    return keep(score)


def models(study: Path, name: str, *answers: Sequence[float], **changes: Any) -> list[Run]:
    """An arm whose seeds answered so; as they started they were at chance."""
    runs = []
    for seed, score in enumerate(answers):
        runs.append(write_run(study, name, seed, settings={"objective": "clm"}))
        ask(runs[-1], score, **changes)
    return runs


def only(comparison: Comparison) -> BenchmarkTable:
    [table] = comparison.tables["benchmark"]
    return table


def block(comparison: Comparison) -> Block:
    [found] = only(comparison).blocks
    return found


def rows(comparison: Comparison) -> dict[str, BenchmarkRow]:
    return {row.label: row for row in block(comparison).rows}
