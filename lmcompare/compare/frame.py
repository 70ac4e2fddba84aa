"""The tidy frame: a row for each run and metric, in the unit that it names.

Below them stands a row for each comparison of two arms in a benchmark, which is of no run and seed.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from lmcompare.compare.arms import Arm, Result
from lmcompare.compare.tables.generation import (
    cost_metrics,
    text_errors,
    text_metrics,
)
from lmcompare.compare.tables.infilling import scores
from lmcompare.compare.tables.likelihood import METRICS
from lmcompare.compare.tables.tasks import BenchmarkTable, Block
from lmcompare.evaluation.generation.record import GenerationRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.tasks.record import TaskRecord
from lmcompare.runs.records import LN2, TextRecord
from lmcompare.stats.significance import error_of_items

COLUMNS = [
    "study",
    "arm",  # as it was named
    "label",  # its row in the table: unique where two arms share a name
    "seed",
    "run",
    "finished",
    "step",  # of the model that was measured
    "objective",
    "metric",
    "scoring",
    "likelihood",
    "source",
    "text",
    "window",
    "stride",
    "hidden",  # of a text: how much of it was asked for; empty: all of it
    "form",  # of hidden tokens: whether the length of each hole was told
    "protocol",  # how several of them were asked for
    "given",  # what the answer could make use of: both sides, or the left one
    "method",  # of writing; as the next five: empty of what is not about what is written
    "temperature",
    "decoding_steps",
    "top_p",
    "settings",
    "judge",
    "way",  # to ask a benchmark; empty of all else
    "value",
    "unit",  # of a benchmark's further figures none: their names say it
    # of a likelihood by its sampling alone; of hidden tokens and what is written over texts, of
    # benchmarks over examples
    "standard_error",
    "n",  # of the bytes or tokens behind a likelihood, of texts that were written, or of examples
    "reference",  # label of the arm that the value is a difference from; as all below, else empty
    "low",  # of the difference: one of intervals that hold together
    "high",
    "p",  # of this comparison alone
    "corrected_p",  # for all comparisons of its table
    "verdict",
    "test",
]


def tidy(arms: Iterable[Arm]) -> pd.DataFrame:
    """All that is known of the runs of some arms."""
    return _frame(row for arm in arms for row in _rows(arm))


def with_differences(
    frame: pd.DataFrame, arms: Iterable[Arm], benchmarks: Iterable[BenchmarkTable]
) -> pd.DataFrame:
    """The same with a row for each arm that stands beside another in a benchmark."""
    named = {arm.label: arm for arm in arms}
    found = _frame(
        row for table in benchmarks for block in table.blocks for row in _differences(block, named)
    )
    return pd.concat([frame, found], ignore_index=True) if len(found) else frame


def _frame(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    frame = pd.DataFrame([*rows], columns=COLUMNS)
    for column in ("seed", "step", "window", "stride", "decoding_steps", "n"):
        frame[column] = frame[column].astype("Int64")
    return frame


def _differences(block: Block, arms: Mapping[str, Arm]) -> Iterator[dict[str, object]]:
    for row in block.rows:
        if row.difference is None:
            continue
        first = arms[row.label].results[0]
        yield {
            "study": first.run.study,
            "arm": first.record.arm,
            "label": row.label,
            "finished": row.finished,
            "objective": first.record.config.objective.name,
            "metric": f"{block.task} {block.metric} difference",
            "scoring": row.scoring,
            "likelihood": row.likelihood,
            "text": block.text,
            "way": block.way,
            "value": row.difference.value,
            "unit": "share",
            "n": block.num_items,
            "reference": block.reference,
            "low": row.difference.low,
            "high": row.difference.high,
            "p": row.p,
            "corrected_p": row.corrected_p,
            "verdict": row.verdict,
            "test": row.test,
        }


def _rows(arm: Arm) -> Iterator[dict[str, object]]:
    for result in arm.results:
        about = {
            "study": result.run.study,
            "arm": result.record.arm,
            "label": arm.label,
            "seed": result.seed,
            "run": str(result.run.path),
            "finished": result.finished,
            "step": result.spent.steps,
            "objective": result.record.config.objective.name,
        }
        for metric, value in _costs(result).items():
            if value is not None:
                yield about | {"metric": metric, "value": float(value), "unit": METRICS[metric]}
        for measured in result.likelihoods:
            yield from (about | row for row in _measured(measured, measured.standard_error))
        for answer in result.infillings:
            error = None
            if answer.nats is not None:
                error = error_of_items(scores([(result, answer)])) * answer.num_bytes * LN2
            yield from (about | row for row in _measured(answer, error))
        for written in result.generations:
            yield from (about | row for row in _written(written))
        for answered in result.tasks:
            yield from (about | row for row in _answered(answered))


def _costs(result: Result) -> dict[str, float | None]:
    spent = result.spent
    return {
        "training_loss": result.loss,
        "validation_loss": result.validation,
        "steps": spent.steps,
        "unigram_of_targets": result.unigram_of_targets,
        "steps_to_leave_unigram": _finite(result.steps_to_leave_unigram),
        "tokens": spent.tokens,
        "targets": spent.targets,
        "flops": spent.flops,
        "training_seconds": spent.seconds,
        "undisturbed_seconds": result.undisturbed_seconds,
        "parameters": result.record.num_parameters,
        "tokens_per_second": spent.tokens / spent.seconds if spent.seconds else None,
        "peak_memory": result.peak_memory,
    }


def _measured(record: TextRecord, error: float | None) -> Iterator[dict[str, object]]:
    """The rows of a result, whose nats have that error; none where there is no answer."""
    about = record.model_dump(
        include={
            *("scoring", "likelihood", "source", "text", "window", "stride", "step"),
            *("hidden", "form", "protocol", "given", "nats"),
        }
    )
    nats, what = about.pop("nats"), "hidden_" if "hidden" in about else ""
    if nats is None:
        return
    anchor = record.unigram_nats
    trigrams = record.trigram_nats if isinstance(record, LikelihoodRecord) else None
    for metric, total, spread, num in (
        (f"bits_per_{what}byte", nats, error, record.num_bytes),
        (f"bits_per_{what}token", nats, error, record.num_tokens),
        (f"unigram_bits_per_{what}byte", anchor, None, record.num_bytes),
        ("trigram_bits_per_byte", trigrams, None, record.num_bytes),
    ):
        if total is None:
            continue
        yield about | {
            "metric": metric,
            "value": total / num / LN2,
            "unit": METRICS[metric],
            "standard_error": None if spread is None else spread / num / LN2,
            "n": num,
        }


def _written(record: GenerationRecord) -> Iterator[dict[str, object]]:
    """The rows of what was written, and of the text itself."""
    sampler = record.model_dump()["sampler"]
    about = {
        "source": record.source,
        "text": record.text,
        "step": record.step,
        "method": record.method,
        "temperature": sampler.get("temperature"),
        "decoding_steps": sampler.get("steps"),
        "top_p": sampler.get("top_p"),
        "settings": record.settings,
        "judge": None if record.judge is None else record.judge.name,
        "n": record.num_texts,
    }
    for kind, figures in (("", record.written), ("reference_", record.reference)):
        if figures is None:
            continue
        errors = text_errors(figures)
        for metric, value in text_metrics(figures, record.num_texts).items():
            if value is not None:
                yield about | {
                    "metric": kind + metric,
                    "value": float(value),
                    "unit": METRICS[kind + metric],
                    "standard_error": errors.get(metric),
                }
    for metric, value in cost_metrics(record.cost).items():
        if value is not None:
            yield about | {"metric": metric, "value": float(value), "unit": METRICS[metric]}


def _answered(record: TaskRecord) -> Iterator[dict[str, object]]:
    """The rows of a benchmark; those of the model as it started say so, as all else is the same."""
    if record.value is None:
        return
    about = record.model_dump(
        include={"step", "scoring", "likelihood", "source", "text", "way"}
    ) | {"unit": "share", "n": record.num_items}
    kind = "untrained " if record.is_untrained else ""
    yield about | {
        "metric": f"{kind}{record.task} {record.metric}",
        "value": record.value,
        "standard_error": record.standard_error,
    }
    for name, value in record.figures.items():
        yield about | {"metric": f"{kind}{record.task} {name}", "value": value, "unit": None}
    if record.chance is not None and not record.is_untrained:
        yield about | {"metric": f"{record.task} chance", "value": record.chance}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
