"""What is said below a benchmark of how its models learned from examples."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean

from lmcompare.comparison.tables.task_results import TaskAnswers
from lmcompare.evaluation.tasks.record import STATES_OF, TaskRecord


def notes_on_learning(found: Mapping[str, TaskAnswers]) -> Iterator[str]:
    """Yield what validation chose for whom, and who may not have learned all, and from where.

    Args:
        found: the answers of each arm that has a value, by its label.
    """
    yield from _poolings(found)
    for end in ("highest", "lowest"):
        yield from _who(
            found,
            f"learned best at the {end} rate or L2 strength that may be tried",
            lambda record, end=end: record.at_edge == end,  # type: ignore[misc]
        )
    yield from _who(found, "still improved when the most steps were done", _cut_off)
    yield from _who(found, "fine-tuned below their own frozen probe", _below_probe)
    read: dict[str, list[str]] = {}
    for label, each in found.items():
        for part in dict.fromkeys(record.settings.get(STATES_OF) for record in each.records):
            if part is not None:
                read.setdefault(str(part), []).append(label)
    for part, labels in read.items():
        yield f"{STATES_OF} {part}: {', '.join(labels)}"


def _poolings(found: Mapping[str, TaskAnswers]) -> Iterator[str]:
    """Yield what each arm chose, and the mean over its seeds of each pooling's validation score."""
    parts = []
    for label, each in found.items():
        scores = [record.poolings for record in each.records if len(record.poolings) > 1]
        if scores:
            times = Counter(record.pooling for record in each.records if record.pooling)
            chosen = " or ".join(
                f"{name} ({num} of {len(each.records)})" if len(times) > 1 else name
                for name, num in times.items()
            )
            table = ", ".join(
                f"{name} {100 * fmean(one[name] for one in scores):.1f}"
                for name in scores[0]
                if all(name in one for one in scores)
            )
            parts.append(f"{label} {chosen} of {table}")
    if parts:
        yield f"pooling, chosen by validation (its scores there): {'; '.join(parts)}"


def _who(
    found: Mapping[str, TaskAnswers], what: str, is_so: Callable[[TaskRecord], bool]
) -> Iterator[str]:
    """Yield for how many models of which arms something is so."""
    counts = {label: sum(map(is_so, each.records)) for label, each in found.items()}
    labels = [
        f"{label} {num} of {len(found[label].records)}" for label, num in counts.items() if num
    ]
    if labels:
        yield f"{what}: {', '.join(labels)}"


def _cut_off(record: TaskRecord) -> bool:
    return record.cut_off


def _below_probe(record: TaskRecord) -> bool:
    return record.below_probe
