"""The kind of evaluation that has models write."""

from collections.abc import Iterator, Mapping, Sequence

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers
from lmcompare.evaluation.generation.judge import Judge, load_judge
from lmcompare.evaluation.generation.measure import measure_generation
from lmcompare.evaluation.generation.metrics import COST_METRICS, TEXT_METRICS
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.record import GenerationRecord, TextMetrics
from lmcompare.evaluation.generation.settings import require
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, texts_of
from lmcompare.evaluation.metric import MISSING, Measurement
from lmcompare.runs.run import Run


class GenerationKind(EvaluationKind[GenerationRecord, GenerationOptions]):
    """What models write after the same prompts: how good, how varied, how dear."""

    record = GenerationRecord
    options = GenerationOptions

    def steps(
        self, runs: Sequence[Run], options: GenerationOptions, context: Context
    ) -> Sequence[Step]:
        judge: Judge | None = None
        if options.judge is not None:
            judge = load_judge(options.judge, device=options.device, warn=context.warn)
        require(runs, options, judge=judge, warn=context.warn)

        def measure(run: Run, report: Report) -> Sequence[GenerationRecord]:
            return measure_generation(
                run, options, cache=context.cache, judge=judge, report=report, warn=context.warn
            )

        return [Step(name=self.name, measure=measure)]

    def measurements(self, run: Run, record: GenerationRecord) -> Iterator[Measurement]:
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
        }
        for prefix, texts in (("", record.written), ("reference_", record.reference)):
            for metric in TEXT_METRICS if texts is not None else ():
                assert texts is not None
                if (value := metric.of(texts, record.num_texts)) is not None:
                    yield Measurement(
                        metric=metric,
                        name=prefix + metric.name,
                        value=value,
                        standard_error=metric.error_of(texts) if metric.error_of else None,
                        num=record.num_texts,
                        columns=about,
                    )
        for cost in COST_METRICS if record.cost is not None else ():
            assert record.cost is not None
            if (value := cost.of(record.cost)) is not None:
                yield Measurement(metric=cost, value=value, num=record.num_texts, columns=about)

    def page(self, results: Sequence[tuple[Run, GenerationRecord]]) -> Sequence[Block]:
        ways = [
            [run.path.name, record.method or MISSING, record.settings] for run, record in results
        ]
        records = [record for _, record in results]
        columns = names("run", "method", "settings")
        headings = []
        for metric in TEXT_METRICS:
            if metric.heading:
                headings += [metric.heading, *(["std. error"] if metric.error_of else [])]
        written = [
            [*way, *_cells(record.written, record.num_texts)]
            for way, record in zip(ways, records, strict=True)
        ]
        return [
            Table(
                columns=[*columns, *numbers(*headings)],
                parts=[Part(rows=[*written, *_references(records)])],
            ),
            Table(
                columns=[*columns, *numbers(*(metric.heading for metric in COST_METRICS))],
                parts=[
                    Part(
                        rows=[
                            [*way, *_costs(each)] for way, each in zip(ways, records, strict=True)
                        ]
                    )
                ],
            ),
            Notes([*_notes(records)]),
        ]

    def cautions(self, results: Sequence[tuple[Run, GenerationRecord]]) -> Iterator[str]:
        records = [record for _, record in results]
        if any(record.judge is None for record in records):
            yield (
                "No judge: name one with `judge=RUN`, such as a larger run of clm that is not one "
                "of these."
            )
        if any(each.reference.self_bleu is None and each.num_texts > 1 for each in records):
            yield "No self-BLEU: it needs sacrebleu (pip install 'lmcompare[measures]')."

    def facts(self, records: Sequence[GenerationRecord]) -> Mapping[str, str | None]:
        return {"prompts": texts_of(records)}


def _references(records: Sequence[GenerationRecord]) -> Iterator[list[str]]:
    """Yield a row for each text that really stood after the prompts."""
    found = {(each.text, each.reference): each.num_texts for each in records}
    several = len({text for text, _ in found}) > 1
    for (text, reference), num_texts in found.items():
        called = f"the text itself{f' {text[:8]}' if several else ''}"
        yield [called, "", "", *_cells(reference, num_texts)]


def _cells(texts: TextMetrics | None, num_texts: int) -> list[str]:
    cells = []
    for metric in TEXT_METRICS:
        if not metric.heading:
            continue
        cells.append(metric.shown(None if texts is None else metric.of(texts, num_texts)))
        if metric.error_of is not None:
            cells.append(metric.shown(None if texts is None else metric.error_of(texts)))
    return cells


def _costs(record: GenerationRecord) -> list[str]:
    cost = record.cost
    return [each.shown(None if cost is None else each.of(cost)) for each in COST_METRICS]


def _notes(records: Sequence[GenerationRecord]) -> Iterator[str]:
    """Yield who judged, on what it was timed, and why dashes stand where they do."""
    judged: dict[str, list[str]] = {}
    timed: dict[str, list[str]] = {}
    for record in records:
        if (judge := record.judge) is not None:
            about = f"{judge.name} ({judge.objective}, {judge.num_parameters:,} parameters)"
            judged.setdefault(about, []).append(record.arm)
        if (cost := record.cost) is not None:
            where = f"{cost.device}, {cost.threads} threads, {cost.rows_together} texts together"
            timed.setdefault(where, []).append(record.arm)
    for what, found in (("judge", judged), ("timed on", timed)):
        for value, arms in found.items():
            whose = f" of {', '.join(dict.fromkeys(arms))}" if len(found) > 1 else ""
            yield f"{what}{whose}: {value}"
    yield from dict.fromkeys(
        f"{MISSING} {record.arm}: {record.reason}" for record in records if record.reason
    )
