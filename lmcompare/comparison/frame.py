"""The tidy frame: a row for each run and metric, in the unit that it names.

Below them stands a row for each comparison of two arms in a benchmark, which is of no run and seed.
"""

import math
from collections.abc import Iterable, Iterator

import pandas as pd

from lmcompare.comparison.arms import Arm, Result
from lmcompare.evaluation.metric import Metric
from lmcompare.evaluation.registry import kinds

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


def with_rows(frame: pd.DataFrame, rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """The same with further rows below."""
    found = _frame(rows)
    return pd.concat([frame, found], ignore_index=True) if len(found) else frame


def _frame(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    found = [*rows]
    more = dict.fromkeys(name for row in found for name in row if name not in COLUMNS)
    frame = pd.DataFrame(found, columns=[*COLUMNS, *more])
    for column in ("seed", "step", "window", "stride", "decoding_steps", "n"):
        frame[column] = frame[column].astype("Int64")
    return frame


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
        for metric, value in _costs(result):
            if value is not None:
                yield about | {"metric": metric.name, "value": float(value), "unit": metric.unit}
        for measured in result.measured:
            kind = kinds()[measured.prefix]
            for found in kind.measurements(result.run, measured):
                yield about | found.row


def _costs(result: Result) -> Iterator[tuple[Metric, float | None]]:
    """Yield what training reached, and what it took."""
    spent = result.spent
    for name, unit, value in (
        ("training_loss", "nats/target", result.loss),
        ("validation_loss", "nats/target", result.validation),
        ("steps", "steps", spent.steps),
        ("unigram_of_targets", "nats/target", result.unigram_of_targets),
        ("steps_to_leave_unigram", "steps", _finite(result.steps_to_leave_unigram)),
        ("tokens", "tokens", spent.tokens),
        ("targets", "targets", spent.targets),
        ("flops", "operations", spent.flops),
        ("training_seconds", "seconds", spent.seconds),
        # of a run that other work on the machine slowed down
        ("undisturbed_seconds", "seconds", result.undisturbed_seconds),
        ("parameters", "parameters", result.record.num_parameters),
        (
            "tokens_per_second",
            "tokens/second",
            spent.tokens / spent.seconds if spent.seconds else None,
        ),
        ("peak_memory", "bytes", result.peak_memory),
    ):
        yield Metric(name=name, unit=unit), value


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
