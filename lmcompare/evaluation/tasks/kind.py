"""The kind of evaluation that has right and wrong answers: benchmarks, each a task."""

from collections.abc import Iterator, Sequence
from typing import Any

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers, words
from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step
from lmcompare.evaluation.metric import MISSING, Measurement, Metric
from lmcompare.evaluation.tasks.base import Examples, Task
from lmcompare.evaluation.tasks.measure import measure_task
from lmcompare.evaluation.tasks.metrics import CHANCE, metric_of
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.record import TaskRecord
from lmcompare.evaluation.tasks.registry import Chosen, choose
from lmcompare.runs.run import Run


class TaskKind(EvaluationKind[TaskRecord, TaskOptions]):
    """How well models do at benchmarks, beside the same models as they started."""

    record = TaskRecord
    options = TaskOptions

    def steps(self, runs: Sequence[Run], options: TaskOptions, context: Context) -> Sequence[Step]:
        chosen = choose(options.tasks, folder=options.folder)
        _require_use(chosen, options)
        steps, faults = [], []
        for each in chosen:
            try:
                steps.append(_step(each.task, each.task.read(each.folder), options, context))
            except UserError as error:
                faults.append(error)
        if faults and not steps:
            raise faults[0]
        for fault in faults:
            context.fail(fault)
        return steps

    def measurements(self, run: Run, record: TaskRecord) -> Iterator[Measurement]:
        if record.value is None:
            return
        about = record.model_dump(
            include={"step", "scoring", "likelihood", "source", "text", "protocol"}
        )
        metric, state = metric_of(record.metric), "untrained " if record.is_untrained else ""
        yield Measurement(
            metric=metric,
            name=f"{state}{record.task} {metric.name}",
            value=record.value,
            standard_error=record.standard_error,
            num=record.num_items,
            columns=about,
        )
        for name, value in record.figures.items():
            yield Measurement(
                metric=Metric(name=name, pattern=".3g"),
                name=f"{state}{record.task} {name}",
                value=value,
                num=record.num_items,
                columns=about,
            )
        if record.chance is not None and not record.is_untrained:
            yield Measurement(
                metric=metric,
                name=f"{record.task} {CHANCE}",
                value=record.chance,
                num=record.num_items,
                columns=about,
            )

    def page(self, results: Sequence[tuple[Run, TaskRecord]]) -> Sequence[Block]:
        started = {
            (run.path, record.task, record.protocol, record.text): record.value
            for run, record in results
            if record.is_untrained
        }
        trained = [(run, record) for run, record in results if not record.is_untrained]
        several = len(trained) > len(
            {(run.path, each.task, each.protocol) for run, each in trained}
        )
        rows = []
        for run, record in sorted(
            trained,
            key=lambda each: (each[1].task, each[0].path.name, each[1].protocol, each[1].step),
        ):
            metric = metric_of(record.metric)
            untrained = started.get((run.path, record.task, record.protocol, record.text))
            rows.append(
                [
                    record.task,
                    run.path.name,
                    record.protocol,
                    *([f"{record.step:,}"] if several else []),
                    metric.heading,
                    metric.shown(record.value),
                    metric.shown(record.standard_error),
                    metric.shown(untrained),
                    metric.shown(record.chance),
                    f"{record.num_items:,}",
                    ", ".join(f"{name} {value:.3g}" for name, value in record.figures.items()),
                ]
            )
        step = ["step"] if several else []
        table = Table(
            columns=[
                *names("task", "run", "protocol", *step, "metric"),
                *numbers("value", "std. error", "untrained", "chance", "examples"),
                *words("also"),
            ],
            parts=[Part(rows=rows)],
        )
        return [table, Notes([*dict.fromkeys(_notes(trained))])]


def _step(task: Task[Any], examples: Examples[Any], options: TaskOptions, context: Context) -> Step:
    def measure(run: Run, report: Report) -> Sequence[TaskRecord]:
        return measure_task(run, task, examples, options, report=report, warn=context.warn)

    return Step(name=task.name, measure=measure, alone=True)


def _require_use(chosen: Sequence[Chosen], options: TaskOptions) -> None:
    """Make sure that each option is of use to one of the tasks.

    Raises:
        UserError: one is not.
    """
    able = dict.fromkeys(protocol for each in chosen for protocol in each.task.protocols)
    for protocol in options.protocols:
        if protocol not in able:
            raise UserError(
                f"no chosen task has the protocol '{protocol}' (`task_protocol=`): "
                f"{did_you_mean(protocol, able) if able else 'choose one with `*tasks`'}"
            )
    if options.pooling is not None and not any(each.task.pools for each in chosen):
        raise UserError(
            "no chosen task pools states (`pooling=`): leave it out, or add a task of the kind "
            "classification or tagging with `*tasks`"
        )
    if options.train_limit is not None and not any(len(each.task.protocols) > 1 for each in chosen):
        raise UserError(
            "no chosen task learns from examples (`train_examples=`): leave it out, or choose one "
            "with `*tasks`"
        )


def _notes(results: Sequence[tuple[Run, TaskRecord]]) -> Iterator[str]:
    """Yield how each run was asked, why dashes stand where they do, and what was mended."""
    found: dict[str, dict[str, None]] = {}
    for run, record in results:
        notes = [
            *([record.description] if record.description else []),
            *(f"{record.protocol}: {remark}" for remark in record.remarks),
            *([f"{MISSING} {record.reason}"] if record.reason else []),
            *(f"{num:,} {what}" for what, num in record.counts.items() if num),
        ]
        for note in notes:
            found.setdefault(f"{record.task}: {note}", {})[run.path.name] = None
    for note, runs in found.items():
        yield f"{note} ({', '.join(runs)})"
