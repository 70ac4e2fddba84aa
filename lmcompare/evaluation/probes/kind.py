"""The kind of evaluation that probes: what the states of each layer tell of language."""

from collections.abc import Iterator, Mapping, Sequence

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
from lmcompare.evaluation.probes.record import LayerResult, ProbeRecord
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
        trained = [(run, record) for run, record in results if not record.is_untrained]
        several = len(trained) > len({_question(run, record) for run, record in trained})
        rows = []
        for run, record in trained or results:
            best = record.best
            untrained = started.get(_question(run, record))
            name = run.path.name + (f" {record.states_of}" if record.states_of else "")
            rows.append(
                [
                    record.task,
                    name,
                    *([f"{record.step:,}"] if several else []),
                    f"{best.layer}",
                    SCORE.shown(best.value),
                    *_beside(record, best),
                    SCORE.shown(None if untrained is None else untrained.best.value),
                ]
            )
        table = Table(
            columns=[
                *names("task", "run", *(["step"] if several else [])),
                *numbers("layer", "score", "control", "type", "majority", "untrained"),
            ],
            parts=[Part(rows=sorted(rows, key=lambda row: (row[0], row[1])))],
        )
        return [table, Notes([*dict.fromkeys(_notes(results))])]

    def facts(self, records: Sequence[ProbeRecord]) -> Mapping[str, str | None]:
        texts = {f"{each.source} {each.text[:8]}" for each in records}
        return {"probed sentences": " and ".join(sorted(texts)) or None}


def _question(run: Run, record: ProbeRecord) -> tuple[object, ...]:
    return (
        *(run.path, record.task, record.source, record.text),
        *(record.probe, record.words, record.states_of),
    )


def _beside(record: ProbeRecord, best: LayerResult) -> Iterator[str]:
    """Yield what stands beside a score: the control, the word's type, the majority or position."""
    yield SCORE.shown(best.control)
    yield SCORE.shown(record.baselines.get("type"))
    others = [value for name, value in record.baselines.items() if name != "type"]
    yield SCORE.shown(others[0] if others else None)


def _notes(results: Sequence[tuple[Run, ProbeRecord]]) -> Iterator[str]:
    yield (
        "score: of the test sentences in the layer that does best on the validation sentences, in "
        "percent. control: the same probe on random labels of word types. type: the most frequent "
        "label of each word type. majority: the most frequent label; of trees a chain of "
        "neighbours, or the first word. untrained: the model as it started, at its own best layer. "
        f"{MISSING}: there is none."
    )
    found: dict[str, dict[str, None]] = {}
    for _, record in results:
        for what, num in record.counts.items():
            found.setdefault(f"{num:,} {what}", {})[record.source] = None
    for note, sources in found.items():
        yield f"{', '.join(sources)}: {note}"
    for record in {record.text: record for _, record in results}.values():
        yield f"{record.source} is split {record.split}"
