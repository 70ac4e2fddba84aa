"""The kind of evaluation that probes: what the states of each layer tell of language."""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers
from lmcompare.errors import UserError
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step
from lmcompare.evaluation.metric import MISSING, Measurement
from lmcompare.evaluation.probes.measure import Questions, probe_model
from lmcompare.evaluation.probes.metrics import (
    BITS,
    CENTER,
    COMPRESSION,
    CORRELATION,
    POINTS,
    SCORE,
)
from lmcompare.evaluation.probes.options import ProbeOptions
from lmcompare.evaluation.probes.record import Group, LayerResult, ProbeRecord
from lmcompare.evaluation.probes.structure import SPEARMAN
from lmcompare.evaluation.probes.tasks import choose_tasks
from lmcompare.evaluation.probes.treebank import read_treebank
from lmcompare.runs.run import Run


class ProbeKind(EvaluationKind[ProbeRecord, ProbeOptions]):
    """What linear or small probes find in the states of each layer, beside controls."""

    record = ProbeRecord
    options = ProbeOptions

    def steps(self, runs: Sequence[Run], options: ProbeOptions, context: Context) -> Sequence[Step]:
        if not options.treebank:
            raise UserError(
                "no treebank is named, and there is no text to probe with: name a file of CoNLL-U, "
                "or a folder of them (`treebank=`)"
            )
        treebank = read_treebank(options.treebank, limit=options.limit)
        tasks, lacking = choose_tasks(options.tasks, treebank)
        for each in lacking:
            context.warn(each)
        questions = Questions.of(treebank, tasks)

        def measure(run: Run, report: Report) -> Sequence[ProbeRecord]:
            return probe_model(
                run, questions, options, cache=context.cache, report=report, warn=context.warn
            )

        return [Step(name=self.name, measure=measure, alone=True)]

    def measurements(self, run: Run, record: ProbeRecord) -> Iterator[Measurement]:
        state = "untrained " if record.is_untrained else ""
        about = record.model_dump(include={"source", "text", "step", "probe", "words"})
        about |= {"group": record.group, "states": record.states_of}
        name = f"{state}{record.task}"
        for each in record.layers:
            columns = {**about, "layer": each.layer, "is_best": each.layer == record.best.layer}
            yield Measurement(
                metric=SCORE,
                name=f"{name} {record.metric}",
                value=each.value,
                num=record.num_examples,
                columns=columns,
            )
            for what, metric, value in (
                ("selectivity", POINTS, each.selectivity),
                ("of unseen types", SCORE, each.unseen),
                ("codelength", BITS, each.codelength),
                (SPEARMAN, CORRELATION, each.figures.get(SPEARMAN)),
            ):
                if value is not None:
                    yield Measurement(
                        metric=metric,
                        name=f"{name} {what}",
                        value=value,
                        num=record.num_examples,
                        columns=columns,
                    )
        for baseline, value in record.baselines.items():
            yield Measurement(
                metric=SCORE,
                name=f"{name} baseline: {baseline}",
                value=value,
                num=record.num_examples,
                columns=about,
            )
        for metric, found in (
            (COMPRESSION, record.compression),
            (CENTER, record.center_of_gravity),
        ):
            if found is not None:
                yield Measurement(
                    metric=metric, name=f"{name} {metric.name}", value=found, columns=about
                )

    def page(self, results: Sequence[tuple[Run, ProbeRecord]]) -> Sequence[Block]:
        started = {_question(run, record): record for run, record in results if record.is_untrained}
        trained = [(run, record) for run, record in results if not record.is_untrained] or results
        has_steps = len(trained) > len({_question(run, record) for run, record in trained})
        has_code = any(record.compression is not None for _, record in trained)
        parts: dict[str, list[list[str]]] = {}
        for run, record in sorted(trained, key=_place):
            untrained = started.get(_question(run, record))
            best = record.best
            read = f" {record.states_of}" if record.states_of else ""
            parts.setdefault(_title(record), []).append(
                [
                    record.task,
                    f"{run.path.name}{read}",
                    *([f"{record.step:,}"] if has_steps else []),
                    f"{best.layer} of {max(each.layer for each in record.layers)}",
                    SCORE.shown(best.value),
                    *_beside(record, best),
                    SCORE.shown(None if untrained is None else untrained.best.value),
                    *([COMPRESSION.shown(record.compression)] if has_code else []),
                ]
            )
        table = Table(
            columns=[
                *names("task", "run", *(["step"] if has_steps else [])),
                *numbers("layer", "score", "control", "type", "base-\nline", "un-\ntrained"),
                *(numbers("com-\npression") if has_code else []),
            ],
            parts=[Part(title=title, rows=rows) for title, rows in parts.items()],
        )
        return [table, Notes([*dict.fromkeys(_notes(results))])]

    def facts(self, records: Sequence[ProbeRecord]) -> Mapping[str, str | None]:
        texts = {f"{each.source} {each.text[:8]}" for each in records}
        return {"probed sentences": " and ".join(sorted(texts)) or None}


def _question(run: Run, record: ProbeRecord) -> tuple[object, ...]:
    """Return what a model and the same as it started share."""
    return (
        *(run.path, record.task, record.source, record.text, record.version),
        *(record.probe, record.words, record.states_of, record.wanted),
    )


def _title(record: ProbeRecord) -> str:
    """Return of what a part of the page is."""
    pooling = f"{record.words} of a word's pieces"
    return f"{record.source} {record.text[:8]}, {record.probe} probe, {pooling}"


def _place(result: tuple[Run, ProbeRecord]) -> tuple[object, ...]:
    """Return by what results are sorted: tasks as they are listed, the runs of each together."""
    run, record = result
    group = get_args(Group).index(record.group)
    return _title(record), group, record.task, run.path.name, record.states_of or "", record.step


def _beside(record: ProbeRecord, best: LayerResult) -> Iterator[str]:
    """Yield what stands beside a score: the control, the word's type, the majority or position."""
    yield SCORE.shown(best.control)
    yield SCORE.shown(record.baselines.get("type"))
    others = [value for name, value in record.baselines.items() if name != "type"]
    yield SCORE.shown(others[0] if others else None)


_BASELINES = {
    "majority": "the most frequent label",
    "chain": "a chain of neighbours (of trees)",
    "first word": "the first word as the root (of trees)",
}


def _notes(results: Sequence[tuple[Run, ProbeRecord]]) -> Iterator[str]:
    records = [record for _, record in results]
    metrics: dict[str, dict[str, None]] = {}
    for record in records:
        metrics.setdefault(record.metric, {})[record.task] = None
    usual, *rare = sorted(metrics, key=lambda metric: -len(metrics[metric]))
    measured = "; ".join([usual, *(f"of {', '.join(metrics[each])} {each}" for each in rare)])
    names = dict.fromkeys(name for record in records for name in record.baselines if name != "type")
    others = ", ".join(_BASELINES.get(name, name) for name in names)
    yield (
        f"score: of the test sentences, in percent, in the layer that does best on the validation "
        f"sentences ({measured})"
    )
    yield (
        "control: the same probe on random labels of word types. type: the most frequent label of "
        f"each word type. baseline: {others or 'there is none'}. untrained: the model as it "
        f"started, at its own best layer. {MISSING}: there is none"
    )
    if any(record.compression is not None for record in records):
        yield "compression: how many times shorter an online code makes the training labels"
    yield from _counts(records)
    for record in {record.text: record for record in records}.values():
        yield f"{record.source} is split {record.split}"


def _counts(records: Sequence[ProbeRecord]) -> Iterator[str]:
    """Yield what was left out, and of which tasks if not of all."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        for what, num in record.counts.items():
            found.setdefault((record.source, f"{num:,} {what}"), {})[record.task] = None
    for (source, what), tasks in found.items():
        every = {record.task for record in records if record.source == source}
        yield f"{source}: {what}" + ("" if {*tasks} == every else f" ({', '.join(tasks)})")
