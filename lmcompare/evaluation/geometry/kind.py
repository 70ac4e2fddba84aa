"""The kind of evaluation that measures how states lie in their space."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from lmcompare.blocks import Block, Column, Notes, Part, Table, names
from lmcompare.evaluation.geometry.measure import measure_geometry
from lmcompare.evaluation.geometry.metrics import METRICS
from lmcompare.evaluation.geometry.options import GeometryOptions
from lmcompare.evaluation.geometry.record import GeometryRecord
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, texts_of
from lmcompare.evaluation.metric import Measurement
from lmcompare.evaluation.states.words import Words, require_shared_text, words_for
from lmcompare.runs.run import Run

MEANING = (
    "cosine: the mean of two words of different texts, 0 where all directions are as likely; less "
    "mean: the same after the mean of all words is taken off; effective rank and participation: "
    "over how many dimensions the variance is spread; norm: the mean length"
)


class GeometryKind(EvaluationKind[GeometryRecord, GeometryOptions]):
    """Anisotropy, rank and norms of the states of each layer, beside the untrained model's."""

    record = GeometryRecord
    options = GeometryOptions

    def steps(
        self, runs: Sequence[Run], options: GeometryOptions, context: Context
    ) -> Sequence[Step]:
        require_shared_text(runs, options)

        @cache
        def words() -> Words:
            return words_for(runs, options, cache=context.cache, warn=context.warn)

        def measure(run: Run, report: Report) -> Sequence[GeometryRecord]:
            return measure_geometry(run, words(), options, context, report)

        return [Step(name=self.name, measure=measure, alone=True)]

    def measurements(self, run: Run, record: GeometryRecord) -> Iterator[Measurement]:
        about = record.model_dump(include={"source", "text", "step", "words"})
        about |= {"states": record.states_of}
        state = "untrained " if record.is_untrained else ""
        for layer in record.layers:
            for metric in METRICS:
                if (value := getattr(layer, metric.name)) is not None:
                    yield Measurement(
                        metric=metric,
                        name=f"{state}{metric.name}",
                        value=value,
                        num=record.num_words,
                        columns={**about, "layer": layer.layer},
                    )

    def page(self, results: Sequence[tuple[Run, GeometryRecord]]) -> Sequence[Block]:
        parts = [
            Part(
                title=f"{record.num_words:,} words of {record.source} {record.text[:8]}",
                subtitle=_name(run, record),
                rows=[
                    [
                        str(layer.layer),
                        *(metric.shown(getattr(layer, metric.name)) for metric in METRICS),
                    ]
                    for layer in record.layers
                ],
            )
            for run, record in results
        ]
        columns = [
            *names("layer"),
            *(Column(metric.heading, "number", right=True) for metric in METRICS),
        ]
        return [Table(columns=columns, parts=parts), Notes([MEANING])]

    def facts(self, records: Sequence[GeometryRecord]) -> Mapping[str, str | None]:
        return {"words of geometry": texts_of(records)}


def _name(run: Run, record: GeometryRecord) -> str:
    state = ", untrained" if record.is_untrained else ""
    return f"{run.path.name} {record.states_of or ''}".strip() + state
