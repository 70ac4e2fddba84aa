"""The kind of evaluation that changes the context of a token."""

from collections.abc import Iterator, Mapping, Sequence

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers
from lmcompare.evaluation.context.curves import ContextAnswers, EffectiveLength, What
from lmcompare.evaluation.context.measure import measure_context
from lmcompare.evaluation.context.metrics import GAIN, GRADIENT, LENGTH, STATES
from lmcompare.evaluation.context.options import ContextOptions
from lmcompare.evaluation.context.record import SIDES, ContextRecord
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, texts_of
from lmcompare.evaluation.metric import MISSING, Measurement, Metric
from lmcompare.runs.run import Run
from lmcompare.stats.significance import error_of_items, estimate

SEES_NOTHING = "sees nothing on the right of a token that it predicts: its gain there is 0"


class ContextKind(EvaluationKind[ContextRecord, ContextOptions]):
    """Tell what a model gains from the context of a token, from which side, and from how far."""

    record = ContextRecord
    options = ContextOptions

    def steps(
        self, runs: Sequence[Run], options: ContextOptions, context: Context
    ) -> Sequence[Step]:
        def measure(run: Run, report: Report) -> Sequence[ContextRecord]:
            return [
                measure_context(run, options, cache=context.cache, report=report, warn=context.warn)
            ]

        return [Step(name=self.name, measure=measure)]

    def measurements(self, run: Run, record: ContextRecord) -> Iterator[Measurement]:
        if record.gain is None:
            return
        answers = ContextAnswers.of([(run, record)])
        about = record.model_dump(
            include={"scoring", "likelihood", "given", "source", "text", "step", "reach"}
        )
        for side in SIDES:
            about_side: tuple[tuple[Metric, What], ...] = (
                (GAIN[side], "lost"),
                (STATES[side], "moved"),
            )
            for metric, what in about_side:
                scores = answers.whole_side(what, side)
                yield Measurement(
                    metric=metric,
                    value=0.0 if scores is None else estimate(scores).mean,
                    standard_error=0.0 if scores is None else error_of_items(scores),
                    num=record.num_tokens,
                    columns=about,
                )
            if (length := answers.effective_length(side)) is not None:
                yield Measurement(
                    metric=LENGTH[side],
                    value=length.value,
                    num=record.num_curve_tokens,
                    columns={**about, "at_least": length.at_least},
                )
        if (shares := answers.gradient_right()) is not None:
            yield Measurement(
                metric=GRADIENT,
                value=estimate(shares).mean,
                standard_error=error_of_items(shares),
                num=record.num_curve_tokens,
                columns=about,
            )

    def page(self, results: Sequence[tuple[Run, ContextRecord]]) -> Sequence[Block]:
        headings = [each.heading for side in SIDES for each in (GAIN[side], LENGTH[side])]
        table = Table(
            columns=[
                *names("run", "given", "scoring"),
                *numbers(*headings, GRADIENT.heading, "tokens", "reach"),
            ],
            parts=[Part(rows=[_row(run, record) for run, record in results])],
        )
        return [table, Notes([*_notes([record for _, record in results])])]

    def facts(self, records: Sequence[ContextRecord]) -> Mapping[str, str | None]:
        return {"tokens asked about context": texts_of(records)}


def _row(run: Run, record: ContextRecord) -> list[str]:
    reach = [f"{record.num_tokens:,}", str(record.reach)]
    if record.gain is None:
        return [run.path.name, *[MISSING] * 7, *reach]
    answers = ContextAnswers.of([(run, record)])
    figures = []
    for side in SIDES:
        figures += [GAIN[side].shown(answers.mean("lost", side).mean)]
        figures += [shown_length(LENGTH[side], answers.effective_length(side))]
    shares = answers.gradient_right()
    return [
        run.path.name,
        "both sides" if record.given == "both" else "left side",
        record.scoring or MISSING,
        *figures,
        GRADIENT.shown(None if shares is None else estimate(shares).mean),
        *reach,
    ]


def shown_length(metric: Metric, length: EffectiveLength | None) -> str:
    """Return an effective length as it stands in a table; a lower limit is marked."""
    if length is None:
        return MISSING
    return f"{'≥' if length.at_least else ''}{metric.shown(length.value)}"


def _notes(records: Sequence[ContextRecord]) -> Iterator[str]:
    yield (
        "nats: by which a token costs less given a side than with the text cut there, the other "
        "side whole; 95%: tokens of it that give 95% of that, ≥ where it is more than was measured"
    )
    yield "gradient right: its share of what moves the log-probability of the token"
    if any(record.given == "left" for record in records):
        yield f"left side: {SEES_NOTHING}"
    yield from dict.fromkeys(
        f"{MISSING} {record.arm}: {record.reason}" for record in records if record.reason
    )
