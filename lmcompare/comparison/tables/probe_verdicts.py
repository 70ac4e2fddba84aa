"""Which arm's states tell more than the reference's, as far as the test sentences can tell."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from lmcompare.comparison import probe_checks
from lmcompare.comparison.arms import Arm
from lmcompare.comparison.figures.learning_curves import LearningCurve, Point
from lmcompare.comparison.tables import probe_notes, probe_results
from lmcompare.comparison.tables.probe_items import Probed, Row, at_best, scores
from lmcompare.comparison.tables.probe_results import (
    AboutBlock,
    AboutTable,
    Asked,
    ProbeAnswers,
    RowKey,
    label_of,
)
from lmcompare.comparison.tables.probes import LayerPoint, ProbeBlock, ProbeRow, ProbeTable
from lmcompare.comparison.tables.verdicts import Among, notes_on_verdicts
from lmcompare.evaluation.probes.record import ProbeRecord
from lmcompare.stats.paired_bootstrap import BootstrapSample, Interval, Scores, resample
from lmcompare.stats.share_intervals import paired_difference
from lmcompare.stats.significance import estimate


def probe_tables(arms: Sequence[Arm], *, reference: str | None) -> list[ProbeTable]:
    """Return a table for each treebank and way to probe it, a block for each probing task.

    Args:
        arms: in their order.
        reference: the label of one; by default the first finished one with a value.

    Raises:
        UserError: items are missing or broken.
    """
    tables = []
    for about, blocks in probe_results.tables_of(arms).items():
        shared = {block: probe_results.most_asked(arms, about, block) for block in blocks}
        found = {
            block: probe_results.found_of(arms, about, block, asked)
            for block, asked in shared.items()
        }
        # as many as any reference has that was asked everything, so that p is the same for all
        num = sum(max(0, len(_candidates(own)) - 1) for own in found.values())
        shown = [
            _block(arms, about, block, shared[block], own, reference, num)
            for block, own in found.items()
        ]
        rows = [row for block in shown for row in block.rows]
        tables.append(
            ProbeTable(
                **about._asdict(),
                blocks=shown,
                notes=[
                    *probe_notes.meanings(rows),
                    *notes_on_verdicts(rows, num),
                    *probe_notes.counts(each for own in found.values() for each in own.values()),
                    *probe_notes.leftovers(arms, about, shared),
                ],
            )
        )
    return tables


def _candidates(found: Mapping[RowKey, ProbeAnswers]) -> list[RowKey]:
    """Return who can stand beside another."""
    return [key for key, each in found.items() if each.arm.ranked]


def _block(
    arms: Sequence[Arm],
    about: AboutTable,
    block: AboutBlock,
    asked: Asked,
    found: Mapping[RowKey, ProbeAnswers],
    reference: str | None,
    num_comparisons: int,
) -> ProbeBlock:
    trained = {key: _required(each.trained) for key, each in found.items()}
    untrained = {key: _required(each.untrained) for key, each in found.items() if each.untrained}
    drawn = resample([*trained.values(), *untrained.values()])
    ours = dict(zip(trained, drawn, strict=False))
    started = dict(zip(untrained, drawn[len(trained) :], strict=True))
    candidates = _candidates(found)
    chosen = _chosen(candidates, reference)
    among = None
    if chosen is not None:
        among = Among.of(trained[chosen], [trained[key] for key in candidates], num_comparisons)
    most = max(
        (each.record for own in found.values() for each in own.trained),
        key=lambda record: record.num_examples,
    )
    baseline = "type" if "type" in most.baselines else next(iter(most.baselines), None)
    rows = []
    for key, each in found.items():
        row = _row(key, each, ours[key], started.get(key), baseline)
        if among is not None and key in candidates and key != chosen:
            row = replace(row, **among.beside(trained[key]))
        rows.append(row)
    notes = []
    if reference is not None and chosen is None:
        notes.append(f"{reference} was not probed here, so nothing is compared with it")
    return ProbeBlock(
        **block._asdict(),
        asks=most.asks,
        metric=most.metric,
        version=asked.version,
        text=asked.text,
        wanted=asked.wanted,
        num_examples=most.num_examples,
        num_sentences=most.num_items,
        baselines=most.baselines,
        baseline=baseline,
        reference=None if chosen is None else label_of(chosen),
        rows=rows,
        lines=[*_lines(arms, about, block, asked)],
        notes=[
            *notes,
            *probe_notes.particulars(rows),
            *probe_notes.unlike(found, most.num_examples),
        ],
    )


def _chosen(candidates: Sequence[RowKey], reference: str | None) -> RowKey | None:
    """Return the row that the others stand beside: of an arm that is read in two ways the first."""
    if reference is None:
        return candidates[0] if len(candidates) > 1 else None
    return next((key for key in candidates if key.label == reference), None)


def _required(models: Sequence[Probed]) -> Scores:
    found = scores(models, at_best)
    assert found is not None
    return found


def _row(
    key: RowKey,
    found: ProbeAnswers,
    trained: BootstrapSample,
    untrained: BootstrapSample | None,
    baseline: str | None,
) -> ProbeRow:
    models, records = found.trained, [each.record for each in found.trained]

    def gain_over(theirs: Scores | None) -> Interval | None:
        return None if theirs is None else paired_difference(trained.scores, theirs)

    selectivity = gain_over(
        scores(models, lambda each: None if each.control is None else each.control[each.best])
    )
    above = gain_over(scores(models, lambda each: each.baselines.get(baseline or "")))
    over_embedding = gain_over(scores(models, _at_embedding))
    flags = {
        **_beside_untrained(trained, untrained),
        probe_checks.BELOW.format(baseline): probe_checks.not_above(above),
        probe_checks.HIGH_CONTROL: probe_checks.control_too_high(selectivity),
        probe_checks.NO_DEPTH: probe_checks.not_above(over_embedding),
        probe_checks.FEW: probe_checks.few_examples(records),
        probe_checks.TRAINED_ON: probe_checks.trained_on(records),
    }
    return ProbeRow(
        label=label_of(key),
        arm=key.label,
        states_of=key.states_of,
        objective=found.arm.results[0].record.config.objective.name,
        finished=found.arm.finished,
        seeds=trained.scores.seeds,
        num_runs=len(found.arm.results),
        value=trained.interval,
        layer=fmean(record.best.layer for record in records),
        highest_layer=max(layer for each in models for layer in each.layers),
        center=_mean([record.center_of_gravity for record in records]),
        selectivity=selectivity,
        above=above,
        unseen=_mean([record.best.unseen for record in records]),
        untrained=None if untrained is None else untrained.interval,
        codelength=_mean([record.best.codelength for record in records]),
        compression=_mean([record.compression for record in records]),
        control_compression=_mean([_compression_of_control(record) for record in records]),
        figures={
            name: fmean(record.best.figures[name] for record in records)
            for name in records[0].best.figures
            if all(name in record.best.figures for record in records)
        },
        flags={flag: said for flag, said in flags.items() if said is not None},
        curve=_curve(models),
        untrained_curve=_curve(found.untrained),
    )


def _at_embedding(each: Probed) -> Row | None:
    """Return what was gained at the embedding; None where it, or all else, was not measured."""
    row: Row | None = None
    if 0 in each.layers and len(each.layers) > 1:
        row = each.score[each.layers.index(0)]
    return row


def _beside_untrained(
    trained: BootstrapSample, untrained: BootstrapSample | None
) -> dict[str, str | None]:
    if untrained is None:
        return {}
    said = probe_checks.beside_untrained(trained, untrained)
    return {} if said is None else {said[0]: said[1]}


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean; None where one is not known."""
    found = [*values]
    known = [each for each in found if each is not None]
    return fmean(known) if known and len(known) == len(found) else None


def _compression_of_control(record: ProbeRecord) -> float | None:
    uniform, codelength = record.uniform_codelength, record.best.control_codelength
    return None if uniform is None or codelength is None else uniform / codelength


def _curve(models: Sequence[Probed]) -> list[LayerPoint]:
    """Return what is found in each layer that all of some models have."""
    if not models:
        return []
    points = []
    for layer in models[0].layers:
        if not all(layer in each.layers for each in models):
            continue
        score = scores(models, lambda each, layer=layer: each.score[each.layers.index(layer)])  # type: ignore[misc]
        assert score is not None
        found = estimate(score)
        low, high = found.low, found.high
        controls = (each.record.layers[each.layers.index(layer)].control for each in models)
        points.append(
            LayerPoint(
                layer=layer,
                score=Interval(
                    value=found.mean,
                    low=0.0 if low is None else max(0.0, low),
                    high=1.0 if high is None else min(1.0, high),
                ),
                control=_mean(controls),
            )
        )
    return points


def _lines(
    arms: Sequence[Arm], about: AboutTable, block: AboutBlock, asked: Asked
) -> Iterator[LearningCurve]:
    """Yield the ways of runs that were probed at two checkpoints or more, from their start."""
    for arm in arms:
        for result in arm.results:
            ways: dict[str | None, list[ProbeRecord]] = {}
            for record in probe_results.answers(result, about, block, asked):
                ways.setdefault(record.states_of, []).append(record)
            for states_of, records in ways.items():
                if sum(not record.is_untrained for record in records) < 2:
                    continue
                yield LearningCurve(
                    label=label_of(RowKey(arm.label, states_of)),
                    objective=result.record.config.objective.name,
                    seed=result.seed,
                    points=[
                        Point(spent=record.spent, value=record.best.value)
                        for record in sorted(records, key=lambda each: each.step)
                    ],
                )
