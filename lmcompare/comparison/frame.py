"""The tidy frame: a row for each run and metric, in the unit that it names.

Below them stands a row for each comparison of two arms in a benchmark or a probe, which is of no
run and seed.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from lmcompare.comparison.arms import Arm, Result
from lmcompare.evaluation.metric import Metric
from lmcompare.evaluation.registry import kinds
from lmcompare.runs.records import ResultRecord, RunRecord
from lmcompare.runs.run import Run

COLUMNS: Mapping[str, str] = {  # each with its meaning and unit
    "study": "the name of the study's folder",
    "arm": "the arm, as it was named",
    "label": "its row in the tables: unique where two arms share a name",
    "seed": "the seed of the run",
    "run": "the run's folder",
    "finished": "whether the run has spent its budget",
    "step": "the step of training of the model that was measured; -1 of what was trained elsewhere",
    "objective": "the name of the objective",
    "metric": "what was measured",
    "scoring": "how a text was scored, or a benchmark asked",
    "likelihood": "the kind of a score of text: exact, bound or pseudo",
    "source": "the split, text or files that it was measured on",
    "text": "the hash of what was asked",
    "window": "tokens that the model saw at once",
    "stride": "tokens from one window to the next",
    "hidden": "how much of a text was asked for; empty: all of it",
    "form": "of hidden tokens: whether the length of each hole was told",
    "protocol": "how several hidden tokens were asked for; of a benchmark that is learned: from "
    "how many examples, or by a probe",
    "given": "of hidden tokens: what the answer could make use of, both sides or the left one",
    "method": "of what was written: how; this and the next five are empty of all else",
    "temperature": "of what was written: the temperature of sampling",
    "decoding_steps": "of what was written: forward passes or rounds",
    "top_p": "of what was written: the probability of the nucleus, 0 to 1",
    "settings": "of what was written: all settings of sampling, in words",
    "judge": "of what was written: the run that judged it",
    "group": "of probes: token, features, edge, structure, identity or sentence; as `probe`, "
    "empty of all else",
    "probe": "of probes: linear, mlp or mdl",
    "words": "of states: how those of a word's pieces became one: mean, first or last; "
    "empty of all but probes, similarity and geometry",
    "states": "of states and attention: which of two stacks was read, or as which part of a "
    "mixture; empty, as the next two, of all else",
    "layer": "of states and attention: the layer, 0 for the embedding; empty of what is of none",
    "head": "of attention: the head of a layer, from 1",
    "is_best": "of probes: whether the layer does best on the validation sentences; of attention: "
    "whether the head does best on the sentences that it is chosen by",
    "other": "of similarity: the folder of the other run; empty, as the next four, of all else",
    "other_states": "of similarity: which of two stacks of the other was read, or as which part",
    "other_layer": "of similarity: the layer of the other",
    "null_mean": "of similarity: the mean of the same where the words are exchanged at random",
    "null": "of similarity: the 95% quantile of that",
    "value": "the value, in the unit that `unit` names",
    "unit": "the unit of the value; empty where the metric's name says it, or it has none",
    "standard_error": "the standard error of the value, in the same unit: of a likelihood by its "
    "sampling alone, of hidden tokens and of what is written over texts, of benchmarks over "
    "examples",
    "n": "the number of bytes or tokens of a likelihood, of texts written, or of examples",
    "reference": "the label of the arm that the value is a difference from; this and all below are "
    "empty in the rows of runs",
    "low": "the lower end of the interval of the difference, one of intervals that hold together",
    "high": "its upper end",
    "p": "the p value of this comparison alone, 0 to 1",
    "corrected_p": "the p value corrected for all comparisons of its table, 0 to 1",
    "verdict": "wins, ties or loses",
    "test": "the test behind the verdict",
}

WHOLE = ("seed", "step", "window", "stride", "decoding_steps", "layer", "head", "other_layer", "n")
TRUE_OR_FALSE = ("finished", "is_best")
REAL = (
    "temperature",
    "top_p",
    "null_mean",
    "null",
    "value",
    "standard_error",
    "low",
    "high",
    "p",
    "corrected_p",
)


def tidy(arms: Iterable[Arm]) -> pd.DataFrame:
    """Return all that is known of the runs of some arms."""
    return _frame(row for arm in arms for row in _rows(arm))


def of_results(results: Iterable[tuple[Run, ResultRecord]]) -> pd.DataFrame:
    """Return what some results say, a row for each run and metric.

    Raises:
        UserError: the items behind a result are missing or broken.
    """
    return _frame(
        about | row
        for run, result in results
        for about in [_about(run, run.record())]
        for row in _measured(run, result)
    )


def with_rows(frame: pd.DataFrame, rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Return the same with further rows below."""
    found = _frame(rows)
    return pd.concat([frame, found], ignore_index=True) if len(found) else frame


def _frame(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    found = [*rows]
    more = dict.fromkeys(name for row in found for name in row if name not in COLUMNS)
    frame = pd.DataFrame(found, columns=[*COLUMNS, *more])
    whole = dict.fromkeys(WHOLE, "Int64")
    either = dict.fromkeys(TRUE_OR_FALSE, "boolean")
    return frame.astype({**whole, **dict.fromkeys(REAL, "float64"), **either})


def _rows(arm: Arm) -> Iterator[dict[str, object]]:
    for result in arm.results:
        about = _about(result.run, result.record) | {
            "label": arm.label,
            "finished": result.finished,
            "step": result.spent.steps,
        }
        for metric, value in _costs(result):
            if value is not None:
                yield about | {"metric": metric.name, "value": float(value), "unit": metric.unit}
        for measured in result.measured:
            for row in _measured(result.run, measured):
                yield about | row


def _about(run: Run, record: RunRecord) -> dict[str, object]:
    """Return what all rows of a run say of it."""
    return {
        "study": run.study,
        "arm": record.arm,
        "label": record.arm,
        "seed": record.config.seed,
        "run": str(run.path),
        "finished": run.done_file.exists(),
        "objective": record.config.objective.name,
    }


def _measured(run: Run, result: ResultRecord) -> Iterator[dict[str, object]]:
    """Yield the rows of a result, without what they say of its run."""
    for found in kinds()[result.prefix].measurements(run, result):
        yield {"step": result.step} | found.row


def _costs(result: Result) -> Iterator[tuple[Metric, float | None]]:
    """Yield what training reached, and what it took."""
    spent = result.spent
    if result.record.imported is not None:  # nobody here knows what its training took
        yield Metric(name="parameters", unit="parameters"), result.record.num_parameters or None
        return
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
        *_of_phases(result),
    ):
        yield Metric(name=name, unit=unit), value


def _of_phases(result: Result) -> Iterator[tuple[str, str, float]]:
    """Yield what each phase took, and what was spent in all on weights that others trained."""
    units = {"tokens": "tokens", "targets": "targets", "flops": "operations"}
    for name, unit in units.items():
        if result.record.start is not None and (in_all := result.in_all(result.spent)):
            yield f"{name}_in_all", unit, getattr(in_all, name)
        for phase, spent in result.spent_in_phases:
            yield f"{name}_of_phase_{phase.number}", unit, getattr(spent, name)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
