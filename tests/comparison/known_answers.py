"""Answers about hidden tokens, and written texts, with known numbers."""

from collections.abc import Mapping
from typing import Any

from lmcompare.comparison import Comparison
from lmcompare.comparison.tables.generation import GenerationTable
from lmcompare.evaluation.generation.record import (
    GenerationRecord,
    JudgeRecord,
    TextMetrics,
    WritingCost,
)
from lmcompare.evaluation.infilling.record import InfillingItem, InfillingRecord
from lmcompare.runs.run import Run
from tests.comparison.known_runs import LN2

NO = "it gives no likelihood of a continuation"


def ask(
    run: Run,
    one: float,
    some: float,
    half: float,
    end: float | None,
    unlike: float = 0.0,
    **changes: Any,
) -> list[InfillingRecord]:
    """Keep answers of so many bits about hidden tokens, and a reason for the one that is None.

    The texts have all the same bits a byte, or in turn so many more and less nats.
    """
    own, last = run.record(), run.last_metrics()
    assert last is not None
    kept = []
    for hidden, bits in {"one": one, "15%": some, "50%": half, "second half": end}.items():
        num_bytes = {"one": 61, "15%": 211}.get(hidden, 727)
        given = {
            "arm": own.arm,
            "seed": own.config.seed,
            "source": "validation",
            "text": "5678" * 4,
            "hidden": hidden,
            "form": "told",
            "protocol": "in-order",
            "step": last.step,
            "length": 32,
            "num_texts": 64,
            "num_bytes": num_bytes,
            "num_tokens": num_bytes // 4,
            "unigram_nats": 2.5 * num_bytes * LN2,
        }
        answer = {
            "scoring": own.config.objective.choose_scoring(None, "holes"),
            "likelihood": "exact",
            "given": "both",
            "nats": None if bits is None else bits * num_bytes * LN2,
        }
        given |= {"reason": NO} if bits is None else answer
        for key, value in changes.items():
            given |= {} if bits is None and key in answer else {key: value}
        record = InfillingRecord(**given)
        kept.append(record)
        items = [
            InfillingItem(
                text=number,
                num_bytes=record.num_bytes,
                num_tokens=record.num_tokens,
                nats=record.nats + unlike * (-1) ** number,
            )
            for number in range(64)
            if record.nats is not None
        ]
        run.results.write(record, items)
    return kept


JUDGE = JudgeRecord(
    name="clm-s7-12345678", objective="clm", scoring="causal", step=500, num_parameters=9_000_001
)


def wrote(
    run: Run,
    bits: float | None,
    distinct_2: float = 0.5,
    *,
    method: str | None = None,
    reason: str | None = None,
    cost: Mapping[str, Any] | None = None,
    figures: Mapping[str, Any] | None = None,
    sampler: Mapping[str, Any] | None = None,
    **changes: Any,
) -> GenerationRecord:
    """Keep what was written, in which the judge finds so many bits a byte."""
    record, last = run.record(), run.last_metrics()
    assert last is not None

    def text(bits: float | None, distinct_2: float) -> TextMetrics:
        known = {
            "num_bytes": 997,
            "num_words": 211,
            "entropy": 6.5,
            "distinct_1": 0.25,
            "distinct_2": distinct_2,
            "distinct_3": 0.75,
            "distinct_2_error": 0.01,
            "repetition": 0.125,
            "self_bleu": 0.375,
            "verbatim": 0.0625,
            "judge_nats": None if bits is None else bits * 991 * LN2,
            "judge_bytes": None if bits is None else 991,
            "judge_error": None if bits is None else 0.125,
        }
        return TextMetrics(**(known | dict(figures or {})))

    known = {
        "passes_per_token": 0.5,
        "flops_per_token": 3e6,
        "tokens_per_second": 101.0,
        "tokens_per_second_together": 1009.0,
        "rows_together": 32,
        "first_token_seconds": 0.0103,
        "peak_memory": 13 * 10**6,
        "num_alone": 8,
        "device": "Some CPU",
        "threads": 2,
    }
    given = {
        "arm": record.arm,
        "seed": record.config.seed,
        "source": "validation",
        "text": "9abc" * 4,
        "step": last.step,
        "num_bytes": 1009,
        "num_tokens": 480,
        "unigram_nats": 2000.0,
        "method": method or next(iter(record.config.objective.decoding_methods)),
        "sampler": {"temperature": 1.0} if sampler is None else sampler,
        "prompt_tokens": 16,
        "new_tokens": 48,
        "num_texts": 10,
        "judge": None if bits is None else JUDGE,
        "reference": text(None if bits is None else 2.125, 0.875),
    }
    if reason is None:
        given |= {"written": text(bits, distinct_2), "cost": WritingCost(**(known | (cost or {})))}
    else:
        given |= {"reason": reason, "method": None}
    kept = GenerationRecord(**(given | changes))
    run.results.write(kept, [])
    return kept


def third(comparison: Comparison) -> GenerationTable:
    [table] = comparison.tables["generation"]
    return table
