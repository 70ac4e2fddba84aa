"""The kind of evaluation that asks for hidden tokens."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers
from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.infilling.record import QUESTIONS, InfillingItem, InfillingRecord
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, texts_of
from lmcompare.evaluation.metric import MISSING, Measurement, Metric
from lmcompare.evaluation.text_metrics import BITS_PER_BYTE, BITS_PER_TOKEN, UNIGRAM
from lmcompare.runs.records import LN2
from lmcompare.runs.run import Run
from lmcompare.stats.paired_bootstrap import Scores
from lmcompare.stats.significance import error_of_items

HIDDEN_BYTE = Metric(
    name="bits_per_hidden_byte", unit="bits/byte", lowest=0.0, better="lower", pattern=".4f"
)
HIDDEN_TOKEN = Metric(name="bits_per_hidden_token", unit="bits/token", lowest=0.0, pattern=".4f")
HIDDEN_UNIGRAM = Metric(
    name="unigram_bits_per_hidden_byte", unit="bits/byte", lowest=0.0, pattern=".4f"
)


class InfillingKind(EvaluationKind[InfillingRecord, InfillingOptions]):
    """What a model makes of hidden tokens: the same question to all."""

    record = InfillingRecord
    options = InfillingOptions

    def steps(
        self, runs: Sequence[Run], options: InfillingOptions, context: Context
    ) -> Sequence[Step]:
        def measure(run: Run, report: Report) -> Sequence[InfillingRecord]:
            return measure_infilling(
                run, options, cache=context.cache, report=report, warn=context.warn
            )

        return [Step(name=self.name, measure=measure)]

    def measurements(self, run: Run, record: InfillingRecord) -> Iterator[Measurement]:
        if record.nats is None:
            return
        about = record.model_dump(
            include={
                *("scoring", "likelihood", "source", "text", "step"),
                *("hidden", "form", "protocol", "given"),
            }
        )
        error = error_of_items(scores([(run, record)])) * record.num_bytes * LN2
        for metric, nats, spread, num in (
            (HIDDEN_BYTE, record.nats, error, record.num_bytes),
            (HIDDEN_TOKEN, record.nats, error, record.num_tokens),
            (HIDDEN_UNIGRAM, record.unigram_nats, None, record.num_bytes),
        ):
            if nats is not None:
                yield Measurement(
                    metric=metric,
                    value=nats / num / LN2,
                    standard_error=None if spread is None else spread / num / LN2,
                    num=num,
                    columns=about,
                )

    def page(self, results: Sequence[tuple[Run, InfillingRecord]]) -> Sequence[Block]:
        table = Table(
            columns=[
                *names("run", "length", "asked", "hidden", "given", "scoring", "kind"),
                *numbers(BITS_PER_BYTE.heading, "std. error", BITS_PER_TOKEN.heading),
                *numbers(UNIGRAM.heading, "bytes", "tokens"),
            ],
            parts=[Part(rows=[_row(run, record) for run, record in results])],
        )
        reasons = dict.fromkeys(
            f"{MISSING} {record.hidden}, length {record.form}: {record.reason}"
            for _, record in results
            if record.reason
        )
        return [table, *([Notes([*reasons])] if reasons else [])]

    def cautions(self, results: Sequence[tuple[Run, InfillingRecord]]) -> Iterator[str]:
        if any(record.left_only for _, record in results):
            yield "Rows that are given the left side only cannot be compared with the others."

    def facts(self, records: Sequence[InfillingRecord]) -> Mapping[str, str | None]:
        return {"hidden tokens": texts_of(records)}


def scores(found: Sequence[tuple[Run, InfillingRecord]]) -> Scores:
    """Return the bits and bytes of each text, for the answers of some runs to one question.

    Raises:
        UserError: answers are missing or broken.
    """
    items = [run.results.items(record, InfillingItem) for run, record in found]
    return Scores(
        score=np.array([[item.nats / LN2 for item in own] for own in items]),
        max_score=np.array([[item.num_bytes for item in own] for own in items], dtype=np.float64),
        seeds=tuple(record.seed for _, record in found),
        highest=float("inf"),
    )


def _row(run: Run, record: InfillingRecord) -> list[str]:
    return [
        run.path.name,
        record.form or MISSING,
        record.protocol or MISSING,
        record.hidden,
        MISSING if record.given is None else _given(record),
        record.scoring or MISSING,
        record.likelihood or MISSING,
        BITS_PER_BYTE.shown(record.bits_per_byte),
        BITS_PER_BYTE.shown(record.error_bits_per_byte),
        BITS_PER_TOKEN.shown(record.bits_per_token),
        UNIGRAM.shown(record.unigram_bits_per_byte),
        f"{record.num_bytes:,}",
        f"{record.num_tokens:,}",
    ]


def _given(record: InfillingRecord) -> str:
    return "left side" if record.left_only else QUESTIONS[record.hidden].given
