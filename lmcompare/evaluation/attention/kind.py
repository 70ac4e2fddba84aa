"""The kind of evaluation that looks at attention."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lmcompare.blocks import Block, Column, Notes, Part, Table, names, numbers
from lmcompare.evaluation.attention.dependencies import Dependencies
from lmcompare.evaluation.attention.measure import measure_attention
from lmcompare.evaluation.attention.metrics import ACCURACY, METRICS
from lmcompare.evaluation.attention.options import AttentionOptions
from lmcompare.evaluation.attention.record import AttentionRecord, RelationResult
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, texts_of
from lmcompare.evaluation.metric import MISSING, Measurement
from lmcompare.runs.run import Run

SHOWN = 10  # relations of a page, the most frequent ones
NO_EXPLANATION = (
    "attention is a weight, and no explanation of what a model says: other weights can give the "
    "same answers (Jain & Wallace 2019; on what that shows, Wiegreffe & Pinter 2019)"
)
HOW_CHOSEN = (
    "a head and an offset are chosen on the train and dev sentences, and scored on the test "
    "sentences; untrained: the same of the model as it started, whose best head is chosen anew"
)
LEFT_ONLY = (
    "of a model that sees the left side alone, only words whose target stands there count, so its "
    "figures are of other words than those of a model that sees both sides"
)
NO_TREEBANK = (
    "whether heads follow dependencies was not measured: name a treebank in CoNLL-U (`treebank=`)"
)


class AttentionKind(EvaluationKind[AttentionRecord, AttentionOptions]):
    """Tell how spread, how far and to which side heads attend, and which follow a dependency."""

    record = AttentionRecord
    options = AttentionOptions

    def steps(
        self, runs: Sequence[Run], options: AttentionOptions, context: Context
    ) -> Sequence[Step]:
        dependencies = Dependencies.of(options)

        def measure(run: Run, report: Report) -> Sequence[AttentionRecord]:
            return measure_attention(
                run,
                options,
                dependencies,
                cache=context.cache,
                report=report,
                warn=context.warn,
            )

        return [Step(name=self.name, measure=measure, alone=True)]

    def measurements(self, run: Run, record: AttentionRecord) -> Iterator[Measurement]:
        state = "untrained " if record.is_untrained else ""
        about = record.model_dump(include={"source", "text", "step"})
        about |= {"states": record.states_of}
        places = [
            (row, column, {**about, "layer": layer, "head": column + 1})
            for row, layer in enumerate(record.layers)
            for column in range(record.num_heads)
        ]
        for name, means in record.means.items():
            errors = record.errors[name]
            for row, column, columns in places:
                yield Measurement(
                    metric=METRICS[name],
                    name=f"{state}{METRICS[name].name}",
                    value=means[row][column],
                    standard_error=None if errors is None else errors[row][column],
                    num=record.num_items,
                    columns=columns,
                )
        for each in record.relations:
            for row, column, columns in places:
                is_best = (columns["layer"], columns["head"]) == (each.layer, each.head)
                yield Measurement(
                    metric=ACCURACY,
                    name=f"{state}{each.key} accuracy",
                    value=each.values[row][column],
                    num=each.num_cases,
                    columns={**columns, "is_best": is_best},
                )
            yield Measurement(
                metric=ACCURACY,
                name=f"{state}{each.key} accuracy of offset {each.offset:+d}",
                value=each.offset_value,
                num=each.num_cases,
                columns=about,
            )

    def page(self, results: Sequence[tuple[Run, AttentionRecord]]) -> Sequence[Block]:
        heads = [(run, record) for run, record in results if record.task == "heads"]
        relations = [(run, record) for run, record in results if record.task == "relations"]
        blocks = [*_of_heads(heads), *_of_relations(relations)]
        return [*blocks, Notes([*_notes([record for _, record in results])])]

    def facts(self, records: Sequence[AttentionRecord]) -> Mapping[str, str | None]:
        tasks = {"heads": "text of attention", "relations": "treebank of attention"}
        return {
            fact: found
            for task, fact in tasks.items()
            if (found := texts_of([each for each in records if each.task == task])) is not None
        }


def name_of(run: Run, record: AttentionRecord) -> str:
    """Return what a row is called: the run, and as what it was read."""
    return " ".join(filter(None, [run.path.name, record.states_of]))


def _of_heads(results: Sequence[tuple[Run, AttentionRecord]]) -> Iterator[Table]:
    parts: dict[tuple[str, str], list[list[str]]] = {}
    for run, record in results:
        means = ((metric, float(np.mean(record.means[name]))) for name, metric in METRICS.items())
        title = f"Attention of {record.source} {record.text[:8]}"
        state = "before training" if record.is_untrained else ""
        cells = [name_of(run, record), *(metric.shown(value) for metric, value in means)]
        parts.setdefault((title, state), []).append(cells)
    if parts:
        headings = [metric.heading for metric in METRICS.values()]
        yield Table(
            columns=[*names("run"), *numbers(*headings)],
            parts=[
                Part(title=title, subtitle=state, rows=rows)
                for (title, state), rows in parts.items()
            ],
        )


def _of_relations(results: Sequence[tuple[Run, AttentionRecord]]) -> Iterator[Table]:
    started = {_question(run, each): each for run, each in results if each.is_untrained}
    trained = [(run, each) for run, each in results if not each.is_untrained]
    parts = []
    for run, record in trained:
        untrained = started.get(_question(run, record))
        values = {} if untrained is None else {each.key: each.value for each in untrained.relations}
        parts.append(
            Part(
                title=f"Heads that follow a relation of {record.source} {record.text[:8]}",
                subtitle=name_of(run, record),
                rows=[
                    [
                        each.relation,
                        each.direction,
                        f"{each.layer}-{each.head}",
                        ACCURACY.shown(each.value),
                        f"{each.offset:+d}",
                        ACCURACY.shown(each.offset_value),
                        ACCURACY.shown(values.get(each.key)),
                        f"{each.num_cases:,}",
                    ]
                    for each in of_frequent(record.relations)
                ],
            )
        )
    if parts:
        columns = names("relation", "direction", "head")
        columns += [Column("accuracy", "number"), *numbers("offset", "its own", "untrained", "of")]
        yield Table(columns=columns, parts=parts)


def of_frequent(results: Sequence[RelationResult]) -> list[RelationResult]:
    """Return those of the relations that are shown: they are in the order of their arcs."""
    shown = [*dict.fromkeys(each.relation for each in results)][:SHOWN]
    return [each for each in results if each.relation in shown]


def _question(run: Run, record: AttentionRecord) -> tuple[object, ...]:
    """Return what a model and the same as it started share."""
    return run.path, record.source, record.text, record.states_of, record.min_arcs


def _notes(records: Sequence[AttentionRecord]) -> Iterator[str]:
    heads = [each for each in records if each.task == "heads"]
    relations = [each for each in records if each.task == "relations"]
    if heads:
        yield (
            "entropy in nats; of max: in percent of the entropy of equal weights; distance in "
            "tokens; left, right, self, first: percent of the weight on each side, the token "
            "itself and the start token, which is on the left, too. Means over texts, layers and "
            "heads; each head is in the results"
        )
        sizes = dict.fromkeys((each.num_items, each.num_tokens) for each in heads)
        for num, tokens in sizes:
            yield f"of {num:,} {'text' if num == 1 else 'texts'}, {tokens:,} tokens"
    if not relations:
        yield NO_TREEBANK
    else:
        yield (
            "accuracy: percent of words that attend most, of all other words, to their syntactic "
            "head, or to one of their dependents by this relation. head: layer and head. offset: "
            f"the best fixed one, in words. {HOW_CHOSEN}. {MISSING}: there is none"
        )
        if not all(each.sees_right for each in relations):
            yield LEFT_ONLY
        yield from dict.fromkeys(note for each in relations for note in notes_on(each))
    yield NO_EXPLANATION


def notes_on(record: AttentionRecord) -> Iterator[str]:
    """Yield what was left out of a treebank, and how it was split."""
    if record.too_few:
        several = [f"{name} ({num})" for name, num in record.too_few.items()]
        have = "relation has" if len(several) == 1 else "relations have"
        yield (
            f"{record.source}: {len(several)} {have} fewer than {record.min_arcs} arcs in the test "
            f"sentences, and left out: {', '.join(several)}"
        )
    left = {each.relation for each in record.relations}
    if len(left) > SHOWN:
        yield f"of {len(left)} relations the {SHOWN} most frequent are shown; all are kept"
    for what, num in record.counts.items():
        yield f"{record.source}: {num:,} {what}"
    yield f"{record.source} is split {record.split}"
