"""A run's model at a task: asked example by example, kept, and gone on with where it was cut off.

Beside each trained model stands the same one as it started: what it knows is what the benchmark
gives away.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
import torch

from lmcompare import rng
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.tasks import splits
from lmcompare.evaluation.tasks.base import Examples, Predictions, Task, with_pooling
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord
from lmcompare.runs.loaded_model import (
    Contestant,
    LoadedModel,
    load_checkpoints,
    opened,
    untrained,
)
from lmcompare.runs.records import step_in_words
from lmcompare.runs.results import Results
from lmcompare.runs.run import Run

KEPT_AT_ONCE = 256  # items that are written together
ALONE = 8  # examples that are asked once more by themselves, as a batch should change no answer
CLOSE = 1e-3  # how far apart two figures may be, and by which share


def measure_task(
    contestant: Contestant,
    task: Task[Any],
    examples: Examples[Any],
    options: TaskOptions,
    *,
    report: Callable[[str, float], None] = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> list[TaskRecord]:
    """Ask a run's models, and the same as they started, and keep what they answer.

    What was asked before is not asked again, and what was cut off is gone on with.

    Args:
        contestant: a model, or a run, of which the last one is meant.
        task: what to ask.
        examples: as `task.read` gives them.
        options: how.
        report: told the task and the share that is done, 0 to 1.
        warn: told of a damaged checkpoint that was passed over.

    Raises:
        UserError: no checkpoint, no such device.
    """
    examples = _limited(_fewer_to_learn_from(examples, task, options.train_limit), options.limit)
    device, batch_size = options.device, options.batch_size
    if options.every_checkpoint and isinstance(contestant, Run):
        every = load_checkpoints(contestant, device=device, batch_size=batch_size, warn=warn)
        subjects = [*every][::-1]
    else:
        subjects = [opened(contestant, device=device, batch_size=batch_size, warn=warn)]
    if options.untrained:
        subjects += untrained(subjects[0])
    known = [] if options.again else subjects[0].results.read(TaskRecord, warn)
    records = []
    for protocol in _meant(task, options):
        for each in subjects:
            blank = _blank(each, task, examples, protocol)
            facts = blank.model_dump(include={"task", "version", "protocol", "text", "step"})
            before = [
                one
                for one in known
                if one.model_dump(include={*facts}) == facts
                and one.scoring in (None, *each.objective.scorings)
            ]
            what = f"{task.name} {protocol} {step_in_words(blank.step)}"
            if before:
                records += before[:1]
            else:
                tell = partial(report, what)
                records.append(_record(each, task, examples, blank, options, tell))
    return records


def _meant(task: Task[Any], options: TaskOptions) -> Sequence[str]:
    protocols, only = task.protocols, options.protocols
    meant = (
        protocols
        if len(protocols) == 1 or not only
        else [protocol for protocol in protocols if protocol in only]
    )
    if options.pooling is None or not task.pools:
        return meant
    return [with_pooling(protocol, options.pooling) for protocol in meant]


def _fewer_to_learn_from(
    examples: Examples[Any], task: Task[Any], limit: int | None
) -> Examples[Any]:
    """Keep some examples of each split that is learned from, as the task draws few of them."""
    learned = {
        split: splits.drawn(some, limit, task=task.name, of=task.kind_of)
        for split, some in examples.learned.items()
    }
    return replace(examples, learned=learned)


def _limited(examples: Examples[Any], limit: int | None) -> Examples[Any]:
    """Return at most this many of the examples, from all over."""
    if limit is None or limit >= len(examples.test):
        return examples
    draw = torch.rand(len(examples.test), generator=rng.generator("examples"))
    chosen = sorted(draw.argsort(stable=True)[:limit].tolist())
    return replace(examples, test=[examples.test[number] for number in chosen])


def _blank(
    model: LoadedModel, task: Task[Any], examples: Examples[Any], protocol: str
) -> TaskRecord:
    content = repr((examples.test, sorted(examples.learned.items())))
    return TaskRecord(
        task=task.name,
        arm=model.arm,
        seed=model.seed,
        source=task.source,
        text=blake2b(content.encode(), digest_size=16).hexdigest(),
        step=model.step,
        spent=model.spent,
        kind=task.kind,
        group=task.group,
        version=task.version + task.protocol_version - 1,
        protocol=protocol,
        metric=task.metric,
        chance=task.chance(examples),
        num_items=len(examples.test),
        counts=examples.counts,
    )


def _record(
    model: LoadedModel,
    task: Task[Any],
    examples: Examples[Any],
    blank: TaskRecord,
    options: TaskOptions,
    report: Callable[[float], None],
) -> TaskRecord:
    results = model.results
    if options.again:
        results.forget_items(blank)
    kept = results.kept_items(blank, TaskItem)
    items = [*{each.item: each for each in kept}.values()]
    try:
        answers = task.evaluate(
            model,
            examples,
            protocol=blank.protocol,
            done=frozenset(item.item for item in items),
            report=report,
        )
        items += _kept(results, blank, answers)
    except Unsupported as reason:
        record, items = blank.model_copy(update={"reason": str(reason)}), []
    else:
        items.sort(key=lambda item: item.item)
        if [item.item for item in items] != [example.number for example in examples.test]:
            raise UserError(
                f"the answers of {model.path} to {task.name} that were kept are not to its "
                f"{len(examples.test)} examples: ask again with `lmcompare eval --force`"
            )
        how = model.objective.scorings.get(answers.scoring or "")
        alone = [] if examples.learned else _alone(model, task, examples, blank.protocol, answers)
        differs = [item for item in alone if not _alike(item, items)]
        record = blank.model_copy(
            update={
                "description": answers.description,
                "scoring": answers.scoring,
                "likelihood": None if how is None else how.likelihood,
                "settings": dict(answers.settings),
                "trials": tuple(answers.trials),
                "counts": {**examples.counts, **answers.counts},
                "figures": dict(task.figures(items)),
                "parts": _parts(items),
                "value": ratio(items),
                "standard_error": _standard_error(items),
                "alone": len(alone) if alone else None,
                "alone_differs": len(differs),
            }
        )
    record = results.write(record, items)
    results.forget_items(blank)
    return record


def _kept(results: Results, blank: TaskRecord, answers: Predictions) -> list[TaskItem]:
    items: list[TaskItem] = []
    waiting: list[TaskItem] = []
    for item in answers.items:
        waiting.append(item)
        if len(waiting) == KEPT_AT_ONCE:
            results.keep_items(blank, waiting)
            items, waiting = items + waiting, []
    results.keep_items(blank, waiting)
    return items + waiting


def _alone(
    model: LoadedModel, task: Task[Any], examples: Examples[Any], protocol: str, among: Predictions
) -> list[TaskItem]:
    """Ask some examples by themselves, by the protocol of those `among`, and return the answers."""
    items: list[TaskItem] = []
    for example in _limited(examples, ALONE).test:
        answers = task.evaluate(
            model,
            replace(examples, test=[example]),
            protocol=protocol,
            done=frozenset(),
            report=lambda share: None,
        )
        if answers.scoring == among.scoring:
            items += answers.items
    return items


def _alike(item: TaskItem, items: Sequence[TaskItem]) -> bool:
    """Tell whether an example was answered in the same way among others."""
    (other,) = [each for each in items if each.item == item.item]
    return item.score == other.score and all(
        math.isclose(value, other.figures[name], rel_tol=CLOSE, abs_tol=CLOSE)
        for name, value in item.figures.items()
    )


def ratio(items: Sequence[TaskItem]) -> float:
    """Return what was gained of what was possible; 0 where nothing was."""
    max_score = sum(item.max_score for item in items)
    return sum(item.score for item in items) / max_score if max_score else 0.0


def _parts(items: Sequence[TaskItem]) -> dict[str, dict[str, tuple[float, int]]]:
    found: dict[str, dict[str, list[TaskItem]]] = {}
    for item in items:
        for level, part in item.parts.items():
            found.setdefault(level, {}).setdefault(part, []).append(item)
    return {
        level: {part: (ratio(own), len(own)) for part, own in sorted(parts.items())}
        for level, parts in found.items()
    }


def _standard_error(items: Sequence[TaskItem]) -> float | None:
    """Return that of the ratio, examples being drawn independently (the delta method)."""
    if len(items) < 2:
        return None
    score = np.array([item.score for item in items])
    max_score = np.array([item.max_score for item in items])
    if not max_score.sum():
        return None
    left = score - ratio(items) * max_score
    return float(np.sqrt((left**2).sum() * len(items) / (len(items) - 1)) / max_score.sum())
