"""The notes below the tables of probes: flags, what was left out, and who was not asked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lmcompare.comparison import probe_checks
from lmcompare.comparison.arms import Arm
from lmcompare.comparison.tables.probe_results import (
    AboutBlock,
    AboutTable,
    Asked,
    ProbeAnswers,
    RowKey,
    about_probe,
    asked,
    fresh,
    label_of,
)
from lmcompare.comparison.tables.probes import ProbeRow
from lmcompare.evaluation.probes.overlap import WHAT
from lmcompare.evaluation.probes.record import ProbeRecord


def meanings(rows: Sequence[ProbeRow]) -> Iterator[str]:
    """Yield what the flags of a table mean, each once."""
    for flag in dict.fromkeys(flag for row in rows for flag in row.flags):
        yield f"{flag}: {probe_checks.meaning(flag)}"


def particulars(rows: Sequence[ProbeRow]) -> Iterator[str]:
    """Yield the flags of a block, with what is behind each."""
    for flag in dict.fromkeys(flag for row in rows for flag in row.flags):
        said = "; ".join(f"{row.label} {row.flags[flag]}" for row in rows if flag in row.flags)
        yield f"{flag}: {said}"


def unlike(found: Mapping[RowKey, ProbeAnswers], most: int) -> Iterator[str]:
    """Yield which models know the states of fewer examples than others, and who lacks a start."""
    fewer: dict[int, list[str]] = {}
    started: dict[str, list[str]] = {}
    for key, each in found.items():
        num = min(model.record.num_examples for model in each.trained)
        if num < most:
            fewer.setdefault(num, []).append(label_of(key))
        if 0 < len(each.untrained) < len(each.trained):
            seeds = " ".join(str(model.seed) for model in each.untrained)
            started.setdefault(seeds, []).append(label_of(key))
    for num, labels in fewer.items():
        yield f"of fewer examples than the others, {num:,}: {', '.join(labels)}"
    for seeds, labels in started.items():
        yield f"untrained: of seed {seeds} ({', '.join(labels)})"


def counts(found: Iterable[ProbeAnswers]) -> Iterator[str]:
    """Yield what was left out of the treebank, and what else was counted."""
    notes: dict[str, dict[str, None]] = {}
    for each in found:
        for model in each.trained:
            for what, num in model.record.counts.items():
                if what != WHAT:
                    notes.setdefault(what, {})[f"{num:,}"] = None
    for what, nums in notes.items():
        yield f"{' or '.join(nums)} {what}"


def leftovers(
    arms: Sequence[Arm], about: AboutTable, shared: Mapping[AboutBlock, Asked]
) -> Iterator[str]:
    """Yield who was asked something else than the others, or not all, and how to ask them."""
    others: dict[tuple[str, str], dict[str, None]] = {}
    missing: dict[tuple[str, ...], list[str]] = {}
    for arm in arms:
        for result in arm.results:
            records = [record for record in fresh(result) if about_probe(record)[0] == about]
            if not result.of(ProbeRecord) or result.is_unselected(ProbeRecord):
                continue  # said elsewhere, or meant
            answered = set()
            for record in records:
                block = about_probe(record)[1]
                if asked(record) == shared[block]:
                    answered.add(block)
                else:
                    what = _differs(record, shared[block])
                    others.setdefault((record.task, what), {})[arm.label] = None
            tasks = tuple(block.task for block in shared if block not in answered)
            if tasks:
                missing.setdefault(tasks, []).append(str(result.run.path))
    grouped: dict[tuple[str, str], list[str]] = {}
    for (task, what), labels in others.items():
        grouped.setdefault((what, ", ".join(labels)), []).append(task)
    for (what, label), names in grouped.items():
        yield (f"left out, as they do not compare with these: {', '.join(names)} {what} ({label})")
    for tasks, runs in missing.items():
        first = next(each for block, each in shared.items() if block.task == tasks[0])
        yield f"not probed in this way: {command(about, tasks, runs, first.wanted)}"


def _differs(record: ProbeRecord, shared: Asked) -> str:
    """Return in what a result was asked something else."""
    said = []
    if record.text != shared.text:
        said.append(f"of {record.num_items:,} sentences {record.text[:8]}")
    if record.wanted != shared.wanted:
        layers = ", ".join(map(str, record.wanted)) or "all"
        said.append(f"of layers {layers}")
    if record.version != shared.version:
        said.append(f"of version {record.version}")
    return " ".join(said)


def command(
    about: AboutTable, tasks: Sequence[str], runs: Sequence[str], wanted: Sequence[int] = ()
) -> str:
    """Return what to type to measure tasks of some runs; the treebank stands by its name."""
    of, what = " ".join(runs), ",".join(tasks)
    bank, probe, words = about.source, about.probe, about.words
    if not wanted:
        return (
            f"`lmcompare probe {of} --treebank {bank} --tasks {what} --probe {probe} "
            f"--words {words}`"
        )
    layers = ",".join(map(str, wanted))
    return (
        f"`lmcompare probe {of} --treebank {bank} --tasks {what} --probe {probe} --words {words} "
        f"--layers {layers}`"
    )
