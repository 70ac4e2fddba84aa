"""From what probes said to a record, and a line for each test sentence."""

from collections.abc import Iterator

import numpy as np
from numpy import ndarray

from lmcompare.evaluation.probes.classification import Answered
from lmcompare.evaluation.probes.controls import is_unseen, most_frequent
from lmcompare.evaluation.probes.examples import ProbeExamples
from lmcompare.evaluation.probes.linear import Problem
from lmcompare.evaluation.probes.online_code import uniform_codelength
from lmcompare.evaluation.probes.record import ProbeItem, ProbeRecord
from lmcompare.evaluation.probes.structure import Judged
from lmcompare.evaluation.states.word_states import States

MOST_CONFUSED = 64  # classes of which a matrix is kept


def of_classes(
    blank: ProbeRecord, answered: Answered, examples: ProbeExamples, found: States
) -> tuple[ProbeRecord, list[ProbeItem]]:
    """Return the record of a task of classes, and an item for each test sentence."""
    labelled, (train, test) = (
        answered.labelled,
        (examples.parts[each] for each in ("train", "test")),
    )
    labels = labelled.labels[test]
    asked = labels >= 0
    unseen = is_unseen(examples, labelled)[test] & asked
    baselines = {
        name: (said[test] == labels) & asked
        for name, said in most_frequent(examples, labelled).items()
    }
    numbers, by_sentence = np.unique(examples.number[test], return_inverse=True)

    def summed(values: ndarray) -> ndarray:
        return np.bincount(by_sentence, weights=values, minlength=len(numbers))

    max_score = summed(asked)
    kept = np.flatnonzero(max_score)
    score = [summed(each) for each in answered.right]
    control = [summed(each) for each in answered.control]
    of_unseen = [summed(each * unseen) for each in answered.right]
    num_unseen = summed(unseen)
    of_baselines = {name: summed(each) for name, each in baselines.items()}
    items = [
        ProbeItem(
            sentence=int(numbers[row]),
            max_score=float(max_score[row]),
            score=tuple(float(each[row]) for each in score),
            control=tuple(float(each[row]) for each in control),
            baselines={name: float(each[row]) for name, each in of_baselines.items()},
            unseen_max_score=float(num_unseen[row]),
            unseen=tuple(float(each[row]) for each in of_unseen) if unseen.any() else (),
        )
        for row in kept.tolist()
    ]
    problem = Problem(labels=labelled.labels, num_classes=labelled.num_classes)
    record = blank.model_copy(
        update={
            "classes": labelled.classes,
            "num_train": int((labelled.labels[train] >= 0).sum()),
            "num_items": len(items),
            "num_examples": int(asked.sum()),
            "baselines": {name: float(each[asked].mean()) for name, each in baselines.items()},
            "uniform_codelength": uniform_codelength(problem, train)
            if blank.probe == "mdl"
            else None,
            "layers": tuple(answered.layers),
            "counts": {
                **blank.counts,
                **found.counts,
                **(
                    {"test examples with a label that none learned from has": labelled.num_unknown}
                    if labelled.num_unknown
                    else {}
                ),
            },
        }
    )
    best = [each.layer for each in record.layers].index(record.best.layer)
    if labelled.num_classes <= MOST_CONFUSED:
        record = record.model_copy(
            update={"confusion": _confusion(labels, answered.predicted[best], labelled.num_classes)}
        )
    return record, items


def _confusion(labels: ndarray, predicted: ndarray, num: int) -> tuple[tuple[int, ...], ...]:
    known = (labels >= 0) & (labels < num)
    found = np.zeros((num, num), dtype=np.int64)
    np.add.at(found, (labels[known], predicted[known]), 1)
    return tuple(map(tuple, found.tolist()))


def of_trees(
    blank: ProbeRecord, judged: Judged, found: States, *, num_left_out: int
) -> tuple[ProbeRecord, list[ProbeItem]]:
    """Return the record of a structural probe, and an item for each test sentence."""
    items = [*_tree_items(judged)]
    most = judged.max_scores.sum()
    counts = {**blank.counts, **found.counts}
    if num_left_out:
        counts["sentences without a tree, or with a word that has no state"] = num_left_out
    record = blank.model_copy(
        update={
            "metric": judged.structure.metric,
            "num_train": judged.num_train,
            "num_items": len(items),
            "num_examples": int(most),
            "baselines": {judged.structure.baseline: float(judged.baseline_scores.sum() / most)},
            "layers": tuple(judged.layers),
            "counts": counts,
        }
    )
    return record, items


def _tree_items(judged: Judged) -> Iterator[ProbeItem]:
    found = zip(judged.trees, judged.max_scores, judged.baseline_scores, strict=True)
    for row, (tree, most, baseline) in enumerate(found):
        if most:
            yield ProbeItem(
                sentence=tree.number,
                max_score=float(most),
                score=tuple(float(each[row]) for each in judged.scores),
                baselines={judged.structure.baseline: float(baseline)},
            )
