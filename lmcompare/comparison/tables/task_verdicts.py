"""Which arm does better in a benchmark than the reference, as far as its examples can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from lmcompare.comparison import sanity_checks
from lmcompare.comparison.arms import Arm
from lmcompare.comparison.tables.task_notes import notes_on_learning
from lmcompare.comparison.tables.task_results import (
    AboutTask,
    TaskAnswers,
    answered,
    leftovers,
)
from lmcompare.comparison.tables.tasks import BenchmarkRow, BenchmarkTable, Block
from lmcompare.comparison.tables.verdicts import Among, notes_on_verdicts
from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation.metric import MISSING
from lmcompare.evaluation.tasks.record import STATES_OF, TaskRecord
from lmcompare.stats.paired_bootstrap import BootstrapSample, resample

_UNLIKE = "its seeds were asked in different ways: ask again with `lmcompare eval --force`"

_MOST_PARTS = 15  # more are a list for other eyes: they are in the results' files


def benchmark_tables(arms: Sequence[Arm], *, reference: str | None) -> list[BenchmarkTable]:
    """Return a table for each group of tasks, a block for each task and protocol.

    Args:
        arms: in their order.
        reference: the label of one; by default the first finished one with a value.

    Raises:
        UserError: no arm has that label, or answers are missing or broken.
    """
    labels = [arm.label for arm in arms]
    if reference is not None and reference not in labels:
        raise UserError(
            f"the reference '{reference}' is none of the arms: {did_you_mean(reference, labels)}"
        )
    tables: list[BenchmarkTable] = []
    found = answered(arms)
    for group in dict.fromkeys(about.group for about in found):
        own = {about: of_task for about, of_task in found.items() if about.group == group}
        # as many as any reference has that was asked everything, so that p is the same for all
        num = sum(max(0, len(_candidates(arms, of_task)) - 1) for of_task in own.values())
        blocks = [_block(arms, about, of_task, reference, num) for about, of_task in own.items()]
        rows = [row for block in blocks for row in block.rows]
        tables.append(
            BenchmarkTable(group=group, blocks=blocks, notes=[*notes_on_verdicts(rows, num)])
        )
    return tables


def _candidates(arms: Sequence[Arm], found: Mapping[str, TaskAnswers]) -> list[str]:
    """Return who can stand beside another."""
    able = _able(found)
    return [arm.label for arm in arms if arm.ranked and arm.label in able]


def _able(found: Mapping[str, TaskAnswers]) -> dict[str, TaskAnswers]:
    return {label: each for label, each in found.items() if each.trained and not _unlike(each)}


def _block(
    arms: Sequence[Arm],
    about: AboutTask,
    found: Mapping[str, TaskAnswers],
    reference: str | None,
    num_comparisons: int,
) -> Block:
    any_record = next(record for each in found.values() for record in each.records)
    able, candidates = _able(found), _candidates(arms, found)
    models = {(label, "trained"): each.trained for label, each in able.items()}
    models |= {(label, "untrained"): each.untrained for label, each in able.items()}
    scores = {key: each for key, each in models.items() if each is not None}
    resampled = dict(zip(scores, resample([*scores.values()]), strict=True)) if scores else {}
    if reference is None and len(candidates) > 1:
        chosen: str | None = candidates[0]
    else:
        chosen = reference if reference in candidates else None
    among = None
    if chosen is not None:
        among = Among.of(
            scores[chosen, "trained"],
            [scores[label, "trained"] for label in candidates],
            num_comparisons,
        )
    rows = []
    for arm in arms:
        if arm.label in found:
            trained = resampled.get((arm.label, "trained"))
            row = _row(arm, found[arm.label], trained, resampled.get((arm.label, "untrained")))
            if among is not None and arm.label in candidates and arm.label != chosen:
                row = replace(row, **among.beside(scores[arm.label, "trained"]))
            rows.append(row)
    notes: list[str] = []
    if reference is not None and chosen is None:
        notes.append(f"{reference} has no value here, so nothing is compared with it")
    level, parts = _parts(any_record if not able else next(iter(able.values())).records[0])
    return Block(
        task=about.task,
        protocol=about.protocol,
        version=any_record.version,
        text=any_record.text,
        metric=any_record.metric,
        chance=any_record.chance,
        num_items=any_record.num_items,
        reference=chosen,
        rows=rows,
        level=level,
        parts=parts,
        notes=[
            *notes,
            *_reasons(found),
            *_gates(rows),
            *_fewer_untrained(able),
            *_descriptions(rows),
            *notes_on_learning(able),
            *leftovers(arms, about, found),
        ],
    )


def _row(
    arm: Arm, found: TaskAnswers, trained: BootstrapSample | None, untrained: BootstrapSample | None
) -> BenchmarkRow:
    row = BenchmarkRow(
        label=arm.label,
        finished=arm.finished,
        seeds=() if trained is None else trained.scores.seeds,
        num_runs=len(arm.results),
        gates={},
        figures={},
        parts={},
    )
    if trained is None:
        return row
    record = found.records[0]
    flags = {
        # what learns from examples need not have been trained before
        sanity_checks.OFF_CHANCE: None
        if untrained is None or record.is_learned
        else sanity_checks.gives_away(untrained, record.chance),
        sanity_checks.NO_GAIN: None
        if untrained is None
        else sanity_checks.learned_nothing(trained, untrained),
        sanity_checks.BELOW_ANCHOR: sanity_checks.below_anchor(arm),
        sanity_checks.UNSTEADY: sanity_checks.changes_alone(found.records),
    }
    level, parts = _parts(record)
    return replace(
        row,
        value=trained.interval,
        untrained=None if untrained is None else untrained.interval,
        scoring=record.scoring,
        likelihood=record.likelihood,
        description=record.description,
        gates={flag: why for flag, why in flags.items() if why is not None},
        figures={
            name: fmean(each.figures[name] for each in found.records)
            for name in record.figures
            if all(name in each.figures for each in found.records)
        },
        parts={
            part: fmean(each.parts[level][part][0] for each in found.records)
            for part in parts
            if level is not None
        },
    )


def _parts(record: TaskRecord) -> tuple[str | None, dict[str, int]]:
    """Return the coarsest level that has several parts, and their examples; none if it has many."""
    levels = {
        level: parts for level, parts in record.parts.items() if 1 < len(parts) <= _MOST_PARTS
    }
    if not levels:
        return None, {}
    level = min(levels, key=lambda each: len(levels[each]))
    return level, {part: num for part, (_, num) in levels[level].items()}


def _unlike(found: TaskAnswers) -> bool:
    how = {(each.scoring, each.description, each.settings.get(STATES_OF)) for each in found.records}
    return len(how) > 1


def _reasons(found: Mapping[str, TaskAnswers]) -> list[str]:
    """Return why dashes stand where they do."""
    silent: dict[str, list[str]] = {}
    for label, each in found.items():
        if not each.trained:
            silent.setdefault(each.reason or "not asked", []).append(label)
        elif _unlike(each):
            silent.setdefault(_UNLIKE, []).append(label)
    return [f"{MISSING} {', '.join(labels)}: {reason}" for reason, labels in silent.items()]


def _gates(rows: Sequence[BenchmarkRow]) -> list[str]:
    notes = []
    for flag, meaning in sanity_checks.FLAGS.items():
        marked = [f"{row.label} {row.gates[flag]}" for row in rows if flag in row.gates]
        if marked:
            notes.append(f"{flag}: {meaning} ({'; '.join(marked)})")
    return notes


def _fewer_untrained(found: Mapping[str, TaskAnswers]) -> list[str]:
    """Return where not all seeds were asked as they started."""
    fewer: dict[str, list[str]] = {}
    for label, each in found.items():
        if each.untrained is not None and each.trained is not None:
            seeds = each.untrained.seeds
            if len(seeds) < len(each.trained.seeds):
                fewer.setdefault(" ".join(map(str, seeds)), []).append(label)
    return [f"untrained: of seed {seeds} ({', '.join(labels)})" for seeds, labels in fewer.items()]


def _descriptions(rows: Sequence[BenchmarkRow]) -> list[str]:
    """Return how it was asked, where no scoring says it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.description is not None and row.scoring is None:
            found.setdefault(row.description, []).append(row.label)
    return [f"asked: {description} ({', '.join(labels)})" for description, labels in found.items()]
