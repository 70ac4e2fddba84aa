"""The kind of evaluation that compares the states of models, pair by pair."""

from collections.abc import Iterator, Mapping, Sequence

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, texts_of
from lmcompare.evaluation.metric import MISSING, Measurement
from lmcompare.evaluation.similarity.measure import Session
from lmcompare.evaluation.similarity.metrics import METRICS
from lmcompare.evaluation.similarity.options import SimilarityOptions
from lmcompare.evaluation.similarity.record import Grids, SimilarityRecord
from lmcompare.runs.run import Run


class SimilarityKind(EvaluationKind[SimilarityRecord, SimilarityOptions]):
    """Tell how alike the states of two models are in each pair of their layers."""

    record = SimilarityRecord
    options = SimilarityOptions

    def steps(
        self, runs: Sequence[Run], options: SimilarityOptions, context: Context
    ) -> Sequence[Step]:
        session = Session(runs, options, context)

        def measure(run: Run, report: Report) -> Sequence[SimilarityRecord]:
            return session.measure(run, report)

        return [Step(name=self.name, measure=measure, finish=session.close)]

    def measurements(self, run: Run, record: SimilarityRecord) -> Iterator[Measurement]:
        about = record.model_dump(include={"source", "text", "step", "words", "other"})
        about |= {"states": record.states_of, "other_states": record.other_states_of}
        for name, grids in record.grids.items():
            for row, layer in enumerate(record.layers):
                for column, other_layer in enumerate(record.other_layers):
                    if (value := grids.value[row][column]) is not None:
                        yield Measurement(
                            metric=METRICS[name],
                            value=value,
                            standard_error=grids.error[row][column],
                            num=record.num_words,
                            columns={
                                **about,
                                "layer": layer,
                                "other_layer": other_layer,
                                "null_mean": grids.null_mean[row][column],
                                "null": grids.null_high[row][column],
                            },
                        )

    def page(self, results: Sequence[tuple[Run, SimilarityRecord]]) -> Sequence[Block]:
        parts: dict[str, list[list[str]]] = {}
        for run, record in results:
            name, grids = next(iter(record.grids.items()))
            title = f"{METRICS[name].heading} of {record.source} {record.text[:8]}"
            cells = [*_pair(run, record), *_cells(record, grids)]
            parts.setdefault(title, []).append(cells)
        return [
            Table(
                columns=[*names("run", "beside"), *numbers("first", "last", "least", "null")],
                parts=[Part(title=title, rows=rows) for title, rows in parts.items()],
            ),
            Notes([*_notes([record for _, record in results])]),
        ]

    def facts(self, records: Sequence[SimilarityRecord]) -> Mapping[str, str | None]:
        return {"words of similarity": texts_of(records)}


def _pair(run: Run, record: SimilarityRecord) -> list[str]:
    one = f"{run.path.name} {record.states_of or ''}".strip()
    if record.is_within:
        return [one, "its own layers"]
    return [one, f"{record.other} {record.other_states_of or ''}".strip()]


def _cells(record: SimilarityRecord, grids: Grids) -> list[str]:
    """Return the similarity of the first layers, the last ones, the least alike, and the null.

    Within a model it is of the first layer with the second, with the last, and any two.
    """
    places = same_layers(record)
    if record.is_within:
        num = len(record.layers)
        places = [(row, column) for row in range(num) for column in range(row + 1, num)]
        places.sort(key=lambda each: (each[0] > 0, each[1]))
        ends = [(0, 1), (0, num - 1)]
    else:
        ends = [places[0], places[-1]] if places else []
    if not places:
        return [MISSING] * 4
    values = [each for row, column in places if (each := grids.value[row][column]) is not None]
    nulls = [each for row, column in places if (each := grids.null_high[row][column]) is not None]
    shown = [grids.value[row][column] for row, column in ends]
    shown += [min(values, default=None), max(nulls, default=None)]
    return [MISSING if each is None else f"{each:.3f}" for each in shown]


def same_layers(record: SimilarityRecord) -> list[tuple[int, int]]:
    """Return where in its grids layers of the same number stand."""
    return [
        (row, record.other_layers.index(layer))
        for row, layer in enumerate(record.layers)
        if layer in record.other_layers
    ]


def _notes(records: Sequence[SimilarityRecord]) -> Iterator[str]:
    """Yield of how many words it is, and how the columns are to be read."""
    names = [METRICS[name].heading for name in records[0].grids]
    if len(names) > 1:
        yield f"measured too, and shown by `lmcompare compare`: {', '.join(names[1:])}"
    sizes = {(each.num_words, each.num_sampled, each.num_groups): None for each in records}
    for num, sampled, groups in sizes:
        yield (
            f"of {num:,} words, the same of every run; neighbours, RSA and all nulls are of "
            f"{sampled:,} of them; standard errors, kept in the results, are over {groups} groups "
            "of neighbouring words"
        )
    yield (
        "first, last, least: layers of the same number, the first one, the last one, and the least "
        "alike; of a run's own layers, the first with the second, with the last, and the least "
        "alike. null: the 95% quantile where words are exchanged at random, the highest of these "
        "layers"
    )
    yield (
        "whether two objectives differ by more than seeds do: `lmcompare compare --table "
        "similarity`"
    )
    if not all(each.same_tokenizer for each in records):
        yield (
            "some of these runs have unlike tokenizers: they are aligned on words, whose states "
            "are made of unlike pieces"
        )
