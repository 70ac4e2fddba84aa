"""Which answers to a benchmark compare: those to the same examples, of models at their ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from lmcompare.comparison.arms import Arm, Result
from lmcompare.errors import UserError
from lmcompare.evaluation.tasks.record import Group, TaskItem, TaskRecord
from lmcompare.stats.paired_bootstrap import Scores

_GROUPS: tuple[Group, ...] = ("grammar", "understanding", "extraction", "likelihood")
assert {*_GROUPS} == {*get_args(Group)}


class AboutTask(NamedTuple):
    """Name a benchmark and the protocol by which it is asked."""

    group: Group
    task: str
    protocol: str


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskAnswers:
    """What the models of an arm answered to the same examples.

    Attributes:
        records: of the trained models, at least one; where some have a value, of these alone.
        trained: what these gained; None if none has a value.
        untrained: the same of these models as they started, as far as they were asked; None if none
            was.
        reason: why there is no value.
    """

    records: Sequence[TaskRecord]
    trained: Scores | None
    untrained: Scores | None
    reason: str | None


_Examples = tuple[int, str]  # version and text: answers compare where both are the same


def answered(arms: Sequence[Arm]) -> dict[AboutTask, dict[str, TaskAnswers]]:
    """Return each arm's answers, by label, to those examples of a task that most runs were asked.

    Raises:
        UserError: answers are missing or broken.
    """
    tasks = {
        about_task(record) for arm in arms for result in arm.results for record in fresh(result)
    }
    found: dict[AboutTask, dict[str, TaskAnswers]] = {}
    for about in sorted(tasks, key=lambda each: (_GROUPS.index(each.group), each)):
        examples = most_asked(arms, about)
        of_arms = {arm.label: _of_arm(arm, about, examples) for arm in arms}
        found[about] = {label: each for label, each in of_arms.items() if each is not None}
    return found


def fresh(result: Result) -> list[TaskRecord]:
    """Return the results of a trained model at its end; of an unfinished one its latest."""
    latest: dict[tuple[AboutTask, _Examples], TaskRecord] = {}
    for record in sorted(result.of(TaskRecord), key=lambda each: each.step):
        if not record.is_untrained and not result.is_stale(record):
            latest[about_task(record), examples_of(record)] = record
    return [*latest.values()]


def stale(result: Result) -> list[TaskRecord]:
    """Return results of a model before its end, to what it was not asked again since then."""
    again = {about_task(record) for record in fresh(result)}
    return [
        record
        for record in result.of(TaskRecord)
        if result.is_stale(record) and about_task(record) not in again
    ]


def leftovers(
    arms: Sequence[Arm], about: AboutTask, found: Mapping[str, TaskAnswers]
) -> Iterator[str]:
    """Yield who was asked something else, or nothing."""
    shared = next(examples_of(record) for each in found.values() for record in each.records)
    others: dict[str, list[str]] = {}
    silent: list[str] = []
    for arm in arms:
        for result in arm.results:
            records = [record for record in fresh(result) if about_task(record) == about]
            for record in records:
                if examples_of(record) != shared:
                    what = f"{record.num_items:,} examples {record.text[:8]}"
                    version = f" of version {record.version}" if record.version != shared[0] else ""
                    labels = others.setdefault(what + version, [])
                    labels += [arm.label] if arm.label not in labels else []
            if not any(examples_of(record) == shared for record in records):
                silent.append(str(result.run.path))
    for what, labels in others.items():
        yield f"left out, as they do not compare with these: {what} ({', '.join(labels)})"
    if silent:
        yield f"not asked: `lmcompare eval --tasks {about.task} {' '.join(silent)}`"


def about_task(record: TaskRecord) -> AboutTask:
    """Return what a result is of."""
    return AboutTask(record.group, record.task, record.protocol)


def examples_of(record: TaskRecord) -> _Examples:
    """Return which examples it is about."""
    return record.version, record.text


def most_asked(arms: Sequence[Arm], about: AboutTask) -> _Examples:
    """Return what most runs were asked; of two such sets the newer version, and the larger one."""
    num_runs: dict[_Examples, int] = {}
    sizes: dict[_Examples, int] = {}
    for arm in arms:
        for result in arm.results:
            for record in fresh(result):
                if about_task(record) == about:
                    num_runs[examples_of(record)] = 1 + num_runs.get(examples_of(record), 0)
                    sizes[examples_of(record)] = record.num_items
    return max(num_runs, key=lambda each: (num_runs[each], each[0], sizes[each], each[1]))


def _of_arm(arm: Arm, about: AboutTask, examples: _Examples) -> TaskAnswers | None:
    valued: list[tuple[Result, TaskRecord]] = []
    silent: list[TaskRecord] = []
    for result in arm.results:
        for record in fresh(result):
            if (about_task(record), examples_of(record)) == (about, examples):
                if record.value is None:
                    silent.append(record)
                else:
                    valued.append((result, record))
    if not valued and not silent:
        return None
    started = [
        (result, record)
        for result, _ in valued
        for record in result.of(TaskRecord)
        if record.is_untrained
        and (about_task(record), examples_of(record)) == (about, examples)
        and record.value is not None
    ]
    return TaskAnswers(
        records=[record for _, record in valued] or silent,
        trained=_scores(valued),
        untrained=_scores(started),
        reason=next((record.reason for record in silent), None),
    )


def _scores(found: Sequence[tuple[Result, TaskRecord]]) -> Scores | None:
    if not found:
        return None
    scores = np.stack([_scores_of(result, record) for result, record in found], axis=1)
    return Scores(
        score=scores[0],
        max_score=scores[1],
        seeds=tuple(result.seed for result, _ in found),
    )


def _scores_of(result: Result, record: TaskRecord) -> Float[ndarray, "2 N"]:
    """Return what was gained of each example behind a result, and what was possible.

    A suite may have a hundred thousand, so no more of a line is kept.

    Raises:
        UserError: they are missing or broken, or not as many as the record says.
    """
    read = result.run.results.parsed(record, _score_of)
    if len(read) != record.num_items:
        raise UserError(
            f"{result.run.path} has {len(read):,} answers to the {record.num_items:,} examples of "
            f"{record.task}: {record.remedy}"
        )
    return np.array(read, dtype=np.float64).reshape(-1, 2).T


def _score_of(line: bytes) -> tuple[float, float]:
    item = TaskItem.model_validate_json(line)
    return item.score, item.max_score
