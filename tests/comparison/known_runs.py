"""Runs with known numbers, and what a comparison says of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcompare import files
from lmcompare.comparison import Comparison, ControlCheck
from lmcompare.comparison.tables.likelihood import LikelihoodTables
from lmcompare.comparison.tables.likelihood_sections import LikelihoodRow
from lmcompare.config.budget import Spent
from lmcompare.config.run import parse_run
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.runs.outside import Imported
from lmcompare.runs.records import (
    ELSEWHERE,
    ControlSheet,
    DoneRecord,
    Manifest,
    MetricsLine,
    RunRecord,
)
from lmcompare.runs.run import Run

NUM_BYTES, NUM_TOKENS = 1013, 251
LN2 = 0.6931471805599453


def write_run(
    study: Path,
    arm: str,
    seed: int,
    *,
    settings: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
    sheet: Mapping[str, Any] | None = None,
    steps: int = 100,
    finished: bool = True,
    read: Mapping[int, str] | None = None,
    undisturbed: float | None = None,
) -> Run:
    """A run directory with everything but its model."""
    settings = {"objective": arm} | dict(settings or {})
    config = parse_run({"seed": seed, **settings})
    run = Run(study / f"{arm}-s{seed}-{config.identity}")
    while run.path.exists():
        run = Run(run.path.with_name(run.path.name + "x"))
    facts = {
        "text": "7e47" * 4,
        "order": f"{seed:016x}",
        "tokenizer": "70ce" * 4,
        "weights": {"embedding.weight": f"e{seed}", "layers.0.weight": f"f{seed}"},
    }
    RunRecord(
        **{
            "arm": arm,
            "given": config.given,
            "config": config,
            "identity": config.identity,
            "created": "2026-01-01T00:00:00+00:00",
            "text": "Python's documentation, 1.3 MB",
            "device": "Some CPU, 2 cores",
            "precision": "float32",
            "threads": 2,
            "git_commit": "0123456789abcdef",
            "versions": {"lmcompare": "0.1.0", "torch": "2.7.0"},
            "num_parameters": 1_000_003,
            "matmul_rate": 1e11,
            "sheet": ControlSheet(**{**facts, **(sheet or {})}),
            **(record or {}),
        }
    ).write(run.record_file)
    share = 0.15 if config.objective.name == "mlm" else 1.0
    spent = Spent(
        steps=steps,
        tokens=steps * 2032,
        targets=round(steps * 2032 * share),
        flops=steps * 10**10,
        seconds=steps / 10,
    )
    line = MetricsLine(
        step=steps,
        **spent.model_dump(exclude={"steps"}),
        loss=3.5,
        learning_rate=1e-3,
        gradient_norm=1.0,
        validation=3.25 + seed / 8,
    )
    run.metrics_file.write_text(line.model_dump_json() + "\n")
    if finished:
        DoneRecord(
            spent=spent,
            loss=3.5,
            validation=3.25 + seed / 8,
            wall_seconds=20.0,
            peak_memory=10**8,
            undisturbed_seconds=undisturbed,
            manifest=None
            if read is None
            else Manifest(
                run=run.hash,
                metrics=files.checksum(run.metrics_file),
                metrics_size=run.metrics_file.stat().st_size,
                read=read,
            ),
        ).write(run.done_file)
    return run


def write_published(
    study: Path, name: str, *, weights: str = "3e1f" * 8, objective: str | None = "clm"
) -> Run:
    """The folder of a model of Hugging Face, as it is made when it is first asked for."""
    config = parse_run({"objective": objective or "mlm", "data": {"source": ""}})
    run = Run(study / f"hf-{name}-{weights[:8]}")
    DoneRecord(
        spent=Spent(steps=ELSEWHERE), loss=None, validation=None, wall_seconds=0.0, peak_memory=0
    ).write(run.done_file)
    RunRecord(
        arm=f"hf:{name}",
        given=config.given,
        config=config,
        identity=config.identity,
        created="2026-01-01T00:00:00+00:00",
        text="not known",
        device="not known",
        precision="not known",
        threads=0,
        git_commit=None,
        versions={"lmcompare": "0.1.0", "torch": "2.7.0"},
        num_parameters=7_000_003,
        matmul_rate=0.0,
        sheet=ControlSheet(text="not known", order="not known", tokenizer="0ddb" * 8, weights={}),
        imported=Imported(
            source=f"hf:/models/{name}",
            revision=None,
            weights=weights,
            kind="states" if objective is None else "causal",
            architecture="GPT2LMHeadModel",
            shape={"layers": 12, "width": 768},
            longest=1024,
            special_tokens={"bos": "<|endoftext|>"},
            rules=["rows are padded with <|endoftext|>"],
            objective=objective,
            why_none="" if objective else "it has no head that predicts tokens",
        ),
    ).write(run.record_file)
    return run


def last_step(run: Run) -> int:
    """The step of the model with which a run ended."""
    last = run.last_metrics()
    return ELSEWHERE if last is None else last.step


def evaluate(run: Run, bits_per_byte: float, **changes: Any) -> None:
    """Keep a likelihood of so many bits."""
    record = run.record()
    objective = record.config.objective
    scoring = changes.pop("scoring", objective.choose_scoring(None))
    given = {
        "arm": record.arm,
        "seed": record.config.seed,
        "source": "validation",
        "text": "abcd" * 4,
        "scoring": scoring,
        "likelihood": objective.scorings[scoring].likelihood,
        "step": last_step(run),
        "window": 128,
        "stride": 64,
        "num_documents": 7,
        "num_bytes": NUM_BYTES,
        "num_tokens": NUM_TOKENS,
        "nats": bits_per_byte * NUM_BYTES * LN2,
        "unigram_nats": 2.5 * NUM_BYTES * LN2,
    }
    run.results.write(LikelihoodRecord(**(given | changes)), [])


def arm(study: Path, name: str, bits: Sequence[float], **changes: Any) -> list[Run]:
    """Evaluated runs of an arm, of the seeds 0, 1, ..."""
    runs = [write_run(study, name, seed, **changes) for seed in range(len(bits))]
    for run, value in zip(runs, bits, strict=True):
        evaluate(run, value)
    return runs


CLOSE, FAR, OVERLAPPING = [1.0, 1.01, 1.02], [2.0, 2.01, 2.02], [1.01, 1.02, 1.03]


def causal(study: Path, **arms: Sequence[float]) -> list[Run]:
    """Arms of one objective under several names."""
    return [
        run
        for name, bits in arms.items()
        for run in arm(study, name, bits, settings={"objective": "clm"})
    ]


def rows(comparison: Comparison) -> dict[str, LikelihoodRow]:
    return {row.label: row for section in comparison.tables["likelihood"] for row in section.rows}


def fact(comparison: Comparison, name: str) -> ControlCheck:
    [found] = [each for each in comparison.facts if each.name == name]
    return found


def marks(comparison: Comparison) -> dict[str, str | None]:
    return {label: row.mark for label, row in rows(comparison).items()}


def footnotes(comparison: Comparison) -> list[str]:
    return [*LikelihoodTables().footnotes(comparison.tables["likelihood"])]
