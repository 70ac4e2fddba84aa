"""The results of probes that compare: of the same sentences and layers, by models at their ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.tables.probe_items import Probed, Read, read
from lmcompare.evaluation.probes.record import Group, ProbeRecord

GROUPS: tuple[Group, ...] = get_args(Group)


class AboutTable(NamedTuple):
    """A treebank and how its sentences are probed."""

    source: str
    probe: str
    words: str


class AboutBlock(NamedTuple):
    """A probing task."""

    group: Group
    task: str


class Asked(NamedTuple):
    """Tell which questions are the same: results compare where all of this is equal."""

    version: int
    text: str
    wanted: tuple[int, ...]


class RowKey(NamedTuple):
    """An arm, and which of its stacks or as which of its parts it was read."""

    label: str
    states_of: str | None


def label_of(key: RowKey) -> str:
    """Return what a row is called."""
    return key.label if key.states_of is None else f"{key.label} {key.states_of}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeAnswers:
    """Hold what the models of a row gained of the same sentences.

    Attributes:
        arm: the arm.
        trained: its models, at least one.
        untrained: the same as they started, as far as they were probed.
    """

    arm: Arm
    trained: Sequence[Probed]
    untrained: Sequence[Probed]


def fresh(result: Result) -> list[ProbeRecord]:
    """Return the results of a trained model at its end; of an unfinished one its latest."""
    latest: dict[object, ProbeRecord] = {}
    for record in sorted(result.of(ProbeRecord), key=lambda each: each.step):
        if not record.is_untrained and not result.is_stale(record):
            latest[about_probe(record), record.states_of, asked(record)] = record
    return [*latest.values()]


def stale(result: Result) -> dict[AboutTable, list[ProbeRecord]]:
    """Return results of a model before its end, to what it was not asked again since then."""
    again = {(about_probe(record), record.states_of) for record in fresh(result)}
    found: dict[AboutTable, list[ProbeRecord]] = {}
    for record in sorted(result.of(ProbeRecord), key=lambda each: each.step):
        if result.is_stale(record) and (about_probe(record), record.states_of) not in again:
            found.setdefault(about_probe(record)[0], []).append(record)
    return found


def about_probe(record: ProbeRecord) -> tuple[AboutTable, AboutBlock]:
    """Return what a result is of: the treebank and the way, and the task."""
    about = AboutTable(record.source, record.probe, record.words)
    return about, AboutBlock(record.group, record.task)


def asked(record: ProbeRecord) -> Asked:
    """Return which questions a result answers."""
    return Asked(record.version, record.text, record.wanted)


def tables_of(arms: Sequence[Arm]) -> dict[AboutTable, list[AboutBlock]]:
    """Return what was probed and how, each with its tasks: group by group, then by name."""
    found: dict[AboutTable, dict[AboutBlock, None]] = {}
    for arm in arms:
        for result in arm.results:
            for record in fresh(result):
                about, block = about_probe(record)
                found.setdefault(about, {})[block] = None
    return {
        about: sorted(found[about], key=lambda each: (GROUPS.index(each.group), each.task))
        for about in sorted(found)
    }


def most_asked(arms: Sequence[Arm], about: AboutTable, block: AboutBlock) -> Asked:
    """Return what most runs were asked; of equals the newer version, all layers, more sentences."""
    runs: dict[Asked, set[object]] = {}
    sizes: dict[Asked, int] = {}
    for arm in arms:
        for result in arm.results:
            for record in fresh(result):
                if about_probe(record) == (about, block):
                    runs.setdefault(asked(record), set()).add(result.run.path)
                    sizes[asked(record)] = record.num_items
    return max(
        runs,
        key=lambda each: (
            *(len(runs[each]), each.version, not each.wanted, len(each.wanted)),
            *(sizes[each], each.text),
        ),
    )


def answers(
    result: Result, about: AboutTable, block: AboutBlock, shared: Asked
) -> list[ProbeRecord]:
    """Return a run's answers to one task, of its model at any step."""
    return [
        record
        for record in result.of(ProbeRecord)
        if (about_probe(record), asked(record)) == ((about, block), shared)
    ]


def found_of(
    arms: Sequence[Arm], about: AboutTable, block: AboutBlock, shared: Asked
) -> dict[RowKey, ProbeAnswers]:
    """Return what each row gained of the sentences that are shared, in the order of the arms.

    Raises:
        UserError: items are missing or broken.
    """
    known: list[tuple[RowKey, Arm, Read]] = []
    for arm in arms:
        for result in arm.results:
            ends = {id(record) for record in fresh(result)}
            for record in answers(result, about, block, shared):
                if record.is_untrained or id(record) in ends:
                    key = RowKey(arm.label, record.states_of)
                    known.append((key, arm, read(result, record)))
    sentences = np.unique(np.concatenate([each.sentences for _, _, each in known]))
    found: dict[RowKey, ProbeAnswers] = {}
    for key in sorted({key for key, _, _ in known}, key=lambda each: _order(arms, each)):
        own = [(arm, each.over(sentences)) for other, arm, each in known if other == key]
        trained = [each for _, each in own if not each.record.is_untrained]
        seeds = {each.seed for each in trained}
        untrained = [each for _, each in own if each.record.is_untrained and each.seed in seeds]
        if trained:
            found[key] = ProbeAnswers(arm=own[0][0], trained=trained, untrained=untrained)
    return found


def _order(arms: Sequence[Arm], key: RowKey) -> tuple[int, str]:
    return [arm.label for arm in arms].index(key.label), key.states_of or ""
