"""What must stand beside a probe's score: a control task, and what needs no model at all."""

import numpy as np
from numpy import ndarray

from lmcompare import rng
from lmcompare.evaluation.probes.examples import NOT_ASKED, ProbeExamples, TaskLabels


def control_labels(examples: ProbeExamples, labelled: TaskLabels, seed: int) -> ndarray:
    """Return the labels of a control task: a random function of what is written.

    Each word type, or pair of types, has one label wherever it stands, drawn from the frequencies
    of the task's labels in training (Hewitt & Liang 2019, section 2). Nothing but memorising types
    solves it.
    """
    assert examples.types is not None
    train = examples.parts["train"]
    chance = np.random.default_rng(rng.key("control task", labelled.task.name, seed))
    of_type = chance.choice(
        labelled.num_classes, size=int(examples.types.max()) + 1, p=labelled.shares(train)
    )
    labels: ndarray = np.where(labelled.labels >= 0, of_type[examples.types], NOT_ASKED)
    return labels


def most_frequent(examples: ProbeExamples, labelled: TaskLabels) -> dict[str, ndarray]:
    """Return what can be said of each example without a model, by how.

    That is the most frequent class of all, and that of the examples of the same type; of a type
    that no training example has, the former.
    """
    train = examples.parts["train"]
    found = {"majority": np.zeros(len(examples), dtype=np.int64)}
    if examples.types is not None:
        labels, types = labelled.labels[train], examples.types[train]
        asked = labels >= 0
        num = np.zeros((int(examples.types.max()) + 1, labelled.num_classes), dtype=np.int32)
        np.add.at(num, (types[asked], labels[asked]), 1)
        found["type"] = num.argmax(1)[examples.types]  # 0 is the most frequent class of all
    return found


def is_unseen(examples: ProbeExamples, labelled: TaskLabels) -> ndarray:
    """Tell of each example whether no training example of the task is of its type."""
    if examples.types is None:
        return np.zeros(len(examples), dtype=bool)
    train = examples.parts["train"]
    seen = np.zeros(int(examples.types.max()) + 1, dtype=bool)
    seen[examples.types[train][labelled.labels[train] >= 0]] = True
    unseen: ndarray = ~seen[examples.types]
    return unseen
