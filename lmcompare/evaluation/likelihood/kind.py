"""The kind of evaluation that scores whole texts."""

from collections.abc import Iterator, Mapping, Sequence

from lmcompare.blocks import Block, Part, Table, names, numbers
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.metric import Measurement
from lmcompare.evaluation.text_metrics import BITS_PER_BYTE, BITS_PER_TOKEN, TRIGRAM, UNIGRAM
from lmcompare.runs.records import LN2
from lmcompare.runs.run import Run


class LikelihoodKind(EvaluationKind[LikelihoodRecord, LikelihoodOptions]):
    """How probable a model finds held-out text, in each way that its objective can say so."""

    record = LikelihoodRecord
    options = LikelihoodOptions
    ranked = True

    def steps(
        self, runs: Sequence[Run], options: LikelihoodOptions, context: Context
    ) -> Sequence[Step]:
        def measure(run: Run, report: Report) -> Sequence[LikelihoodRecord]:
            return measure_likelihood(
                run, options, cache=context.cache, report=report, warn=context.warn
            )

        return [Step(name=self.name, measure=measure)]

    def measurements(self, run: Run, record: LikelihoodRecord) -> Iterator[Measurement]:
        about = record.model_dump(
            include={"scoring", "likelihood", "source", "text", "window", "stride", "step"}
        )
        error, trigrams = record.standard_error, record.trigram_nats
        for metric, nats, spread, num in (
            (BITS_PER_BYTE, record.nats, error, record.num_bytes),
            (BITS_PER_TOKEN, record.nats, error, record.num_tokens),
            (UNIGRAM, record.unigram_nats, None, record.num_bytes),
            (TRIGRAM, trigrams, None, record.num_bytes),
        ):
            if nats is not None:
                yield Measurement(
                    metric=metric,
                    value=nats / num / LN2,
                    standard_error=None if spread is None else spread / num / LN2,
                    num=num,
                    columns=about,
                )

    def page(self, results: Sequence[tuple[Run, LikelihoodRecord]]) -> Sequence[Block]:
        table = Table(
            columns=[
                *names("run", "scoring", "kind"),
                *numbers(BITS_PER_BYTE.heading, "std. error", BITS_PER_TOKEN.heading),
                *numbers(UNIGRAM.heading, TRIGRAM.heading, "bytes", "tokens"),
            ],
            parts=[
                Part(
                    rows=[
                        [
                            run.path.name,
                            record.scoring,
                            record.likelihood,
                            BITS_PER_BYTE.shown(record.bits_per_byte),
                            BITS_PER_BYTE.shown(record.error_bits_per_byte),
                            BITS_PER_TOKEN.shown(record.bits_per_token),
                            UNIGRAM.shown(record.unigram_bits_per_byte),
                            TRIGRAM.shown(record.trigram_bits_per_byte),
                            f"{record.num_bytes:,}",
                            f"{record.num_tokens:,}",
                        ]
                        for run, record in results
                    ]
                )
            ],
        )
        return [table]

    def cautions(self, results: Sequence[tuple[Run, LikelihoodRecord]]) -> Iterator[str]:
        if len({record.likelihood for _, record in results}) > 1:
            yield "Rows of different kinds measure different things and cannot be compared."

    def facts(self, records: Sequence[LikelihoodRecord]) -> Mapping[str, str | None]:
        texts = {f"{each.source} {each.text_hash[:8]}" for each in records}
        windows = sorted({(each.window, each.stride) for each in records})
        sizes = (f"{window} tokens, stride {stride}" for window, stride in windows)
        return {
            "evaluated text": " and ".join(sorted(texts)) or None,
            "scoring window": " and ".join(sizes) or None,
        }
