"""The kind of evaluation that times models."""

from collections.abc import Iterator, Mapping, Sequence

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers
from lmcompare.evaluation.generation.record import ROWS_TOGETHER
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step
from lmcompare.evaluation.metric import MISSING, Measurement, Metric
from lmcompare.evaluation.speed.measure import measure_speed, require_length
from lmcompare.evaluation.speed.metrics import METRICS, PASSES
from lmcompare.evaluation.speed.options import SpeedOptions
from lmcompare.evaluation.speed.record import Pacing, SpeedRecord
from lmcompare.runs.run import Run


class SpeedKind(EvaluationKind[SpeedRecord, SpeedOptions]):
    """Tokens a second in writing, of one text and of many, and texts a second in reading."""

    record = SpeedRecord
    options = SpeedOptions

    def steps(self, runs: Sequence[Run], options: SpeedOptions, context: Context) -> Sequence[Step]:
        for run in runs:
            require_length(run.path, run.record().config.batch.length, options)

        def measure(run: Run, report: Report) -> Sequence[SpeedRecord]:
            return [
                measure_speed(run, options, cache=context.cache, report=report, warn=context.warn)
            ]

        return [Step(name=self.name, measure=measure)]

    def measurements(self, run: Run, record: SpeedRecord) -> Iterator[Measurement]:
        about = record.model_dump(include={"source", "text", "step", "method"})
        for metric in METRICS:
            if (value := record.values[metric.name]) is not None:
                yield Measurement(metric=metric, value=value, columns=about)

    def page(self, results: Sequence[tuple[Run, SpeedRecord]]) -> Sequence[Block]:
        rows = [
            [run.path.name, record.method or MISSING, *_cells(record)] for run, record in results
        ]
        columns = [*names("run"), *names("method"), *numbers(*(each.heading for each in METRICS))]
        return [
            Table(columns=columns, parts=[Part(rows=rows)]),
            Notes([*_notes([record for _, record in results])]),
        ]

    def cautions(self, results: Sequence[tuple[Run, SpeedRecord]]) -> Iterator[str]:
        slowed = [run.path.name for run, record in results if record.disturbed]
        if slowed:
            yield (
                "Other work on the machine slowed rounds down, which were left out of: "
                f"{', '.join(slowed)}"
            )

    def facts(self, records: Sequence[SpeedRecord]) -> Mapping[str, str | None]:
        machines = {each.machine for each in records}
        return {"machine of speed": " and ".join(sorted(machines)) or None}


def _cells(record: SpeedRecord) -> Iterator[str]:
    paces: Mapping[str, Pacing | None] = {
        "speed_alone": record.alone,
        "speed_together": record.together,
        "speed_reading": record.reading,
    }
    for metric in METRICS:
        if metric is PASSES:
            yield metric.shown(record.passes_per_token)
        else:
            yield _pace(metric, paces[metric.name])


def _pace(metric: Metric, pacing: Pacing | None) -> str:
    """Return a median with its quartiles."""
    if pacing is None:
        return MISSING
    ends = f"{metric.shown(pacing.low)}, {metric.shown(pacing.high)}"
    return f"{metric.shown(pacing.median)} [{ends}]"


def _notes(records: Sequence[SpeedRecord]) -> Iterator[str]:
    """Yield what was timed and on what, and why dashes stand where they do."""
    for prompt, new in dict.fromkeys((each.prompt_tokens, each.new_tokens) for each in records):
        yield (
            f"medians of rounds, with their quartiles: {new} tokens written after {prompt}, of one "
            f"text and of {ROWS_TOGETHER} at once; texts of {prompt + new} tokens, read "
            f"{ROWS_TOGETHER} at once"
        )
    machines = (f"{each.machine}, {each.precision}" for each in records)
    for machine in dict.fromkeys(machines):
        yield f"timed on: {machine}"
    yield from dict.fromkeys(
        f"{MISSING} {record.arm}: {record.reason}" for record in records if record.reason
    )
