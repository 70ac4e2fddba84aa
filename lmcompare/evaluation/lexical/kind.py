"""The kind of evaluation that asks for words by how well a model can know them."""

from collections.abc import Iterator, Mapping, Sequence

from lmcompare.blocks import Block, Column, Notes, Part, Table, names
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, texts_of
from lmcompare.evaluation.lexical.measure import measure_lexical
from lmcompare.evaluation.lexical.metrics import EVERY, NATS, LexicalAnswers
from lmcompare.evaluation.lexical.options import LexicalOptions
from lmcompare.evaluation.lexical.record import BANDS, GROUPS, LexicalRecord
from lmcompare.evaluation.metric import MISSING, Measurement
from lmcompare.runs.run import Run
from lmcompare.stats.significance import error_of_items, estimate

FEWEST = 5  # words, of which a mean says something
READ = (
    "nats of a word, all of its tokens hidden and their number told, by how often the model had "
    "read it; in brackets the number of words"
)


class LexicalKind(EvaluationKind[LexicalRecord, LexicalOptions]):
    """Tell what words cost a model by how often it has read them, and in which company."""

    record = LexicalRecord
    options = LexicalOptions

    def steps(
        self, runs: Sequence[Run], options: LexicalOptions, context: Context
    ) -> Sequence[Step]:
        def measure(run: Run, report: Report) -> Sequence[LexicalRecord]:
            return [
                measure_lexical(run, options, cache=context.cache, report=report, warn=context.warn)
            ]

        return [Step(name=self.name, measure=measure)]

    def measurements(self, run: Run, record: LexicalRecord) -> Iterator[Measurement]:
        answers = LexicalAnswers.of([(run, record)])
        about = record.model_dump(
            include={"scoring", "likelihood", "given", "source", "text", "step"}
        )
        for group, band in EVERY if answers.records else ():
            if num := answers.num(group, band):
                scores = answers.scores(group, band)
                yield Measurement(
                    metric=NATS,
                    value=estimate(scores).mean,
                    standard_error=error_of_items(scores),
                    num=num,
                    name=f"{NATS.name}, {group}, {band}",
                    columns=about,
                )

    def page(self, results: Sequence[tuple[Run, LexicalRecord]]) -> Sequence[Block]:
        parts = []
        for run, record in results:
            answers = LexicalAnswers.of([(run, record)])
            if answers.records:
                rows = [
                    [group, *(_cell(answers, group, band) for band in BANDS)] for group in GROUPS
                ]
                parts.append(Part(title=run.path.name, rows=rows))
        columns = [*names("words"), *(Column(band, "number") for band in BANDS)]
        reasons = dict.fromkeys(
            f"{MISSING} {record.arm}: {record.reason}" for _, record in results if record.reason
        )
        tables = [Table(columns=columns, parts=parts)] if parts else []
        return [*tables, Notes([READ, *reasons])]

    def facts(self, records: Sequence[LexicalRecord]) -> Mapping[str, str | None]:
        return {"words asked for": texts_of(records)}


def _cell(answers: LexicalAnswers, group: str, band: str) -> str:
    num = answers.num(group, band)
    if num < FEWEST:
        return f"{MISSING} ({num})"
    return f"{NATS.shown(estimate(answers.scores(group, band)).mean)} ({num})"
