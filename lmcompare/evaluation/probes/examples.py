"""What is asked of which words: sentences in the order in which they are read, and their labels."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from lmcompare.errors import UserError
from lmcompare.evaluation.probes.readings import Readings
from lmcompare.evaluation.probes.tasks import ProbingTask, Unit

NOT_ASKED = -1
FEWEST_SENTENCES = 20  # for the test of a task, below which a note says how few there are


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskLabels:
    """The labels of one task: numbers of classes, by example.

    Attributes:
        task: the question.
        labels: of each example; `NOT_ASKED` where the question makes no sense, and the number of
            classes where no training example has the label.
        classes: in order of their frequency in training.
        num_unknown: test examples with a label that no training example has.
    """

    task: ProbingTask
    labels: Int[ndarray, " N"]
    classes: tuple[str, ...]
    num_unknown: int

    @property
    def num_classes(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    def shares(self, train: slice) -> ndarray:
        """Return the share of each class among training examples."""
        found = self.labels[train]
        num = np.bincount(found[found >= 0], minlength=self.num_classes)[: self.num_classes]
        shares: ndarray = num / num.sum()
        return shares


@dataclass(frozen=True, kw_only=True, eq=False)
class ProbeExamples:
    """Words, pairs of words or sentences with labels of several tasks, in the order of reading.

    Attributes:
        unit: which of these.
        rows: the numbers of the words of each example; of a sentence its first and its last.
        reading: the number of the sentence of each, in the order of reading.
        number: the same in its part of the treebank.
        types: the number of what is written in each; None of sentences, which are all unlike.
        parts: the examples of each part.
        tasks: the labels.
    """

    unit: Unit
    rows: Int[ndarray, "N K"]
    reading: Int[ndarray, " N"]
    number: Int[ndarray, " N"]
    types: Int[ndarray, " N"] | None
    parts: Mapping[str, slice]
    tasks: Sequence[TaskLabels]

    def __len__(self) -> int:
        return len(self.rows)

    def choose(self, names: Collection[str]) -> "ProbeExamples":
        """Return the same with some of the tasks."""
        return replace(self, tasks=[each for each in self.tasks if each.task.name in names])

    @property
    def askable(self) -> list[str]:
        """Return the tasks of which each part has an example with a class."""
        return [
            each.task.name
            for each in self.tasks
            if all(
                ((own >= 0) & (own < each.num_classes)).any()
                for own in (each.labels[part] for part in self.parts.values())
            )
        ]

    def only(self, known: Bool[ndarray, " W"]) -> "ProbeExamples":
        """Return those of which all words are known, and of sentences those with any such word.

        Args:
            known: of each word whether the model has a state for it.
        """
        if self.unit == "sentence":
            sums = np.concatenate(([0], np.cumsum(known)))
            able = sums[self.rows[:, 1] + 1] > sums[self.rows[:, 0]]
        else:
            able = known[self.rows].all(1)
        num = np.concatenate(([0], np.cumsum(able)))
        return ProbeExamples(
            unit=self.unit,
            rows=self.rows[able],
            reading=self.reading[able],
            number=self.number[able],
            types=None if self.types is None else self.types[able],
            parts={
                part: slice(int(num[own.start]), int(num[own.stop]))
                for part, own in self.parts.items()
            },
            tasks=[replace(each, labels=each.labels[able]) for each in self.tasks],
        )


def examples_of(readings: Readings, tasks: Sequence[ProbingTask]) -> list[ProbeExamples]:
    """Return the examples of all tasks but those of whole trees, those of one unit together.

    Raises:
        UserError: a task has fewer than two classes among the sentences that are learned from, or
            asks nothing of the test sentences.
    """
    found = []
    for unit, make in (("word", _words), ("pair", _pairs), ("sentence", _sentences)):
        if own := [task for task in tasks if task.unit == unit]:
            found.append(make(readings, own))
    return found


def _words(readings: Readings, tasks: Sequence[ProbingTask]) -> ProbeExamples:
    is_swapped = readings.is_swapped
    rows: list[int] = []
    reading: list[int] = []
    forms: list[str] = []
    said: dict[str, list[str | None]] = {task.name: [] for task in tasks}
    for number, sentence in enumerate(readings.sentences):
        if is_swapped[number]:
            continue
        first = int(readings.first[number])
        rows += range(first, first + len(sentence.words))
        reading += [number] * len(sentence.words)
        forms += [word.form for word in sentence.words]
        for task in tasks:
            assert task.words is not None
            said[task.name] += task.words(sentence)
    return _made("word", readings, np.array(rows)[:, None], reading, forms, tasks, said)


def _pairs(readings: Readings, tasks: Sequence[ProbingTask]) -> ProbeExamples:
    is_swapped = readings.is_swapped
    rows: list[tuple[int, int]] = []
    reading: list[int] = []
    forms: list[str] = []
    said: dict[str, list[str | None]] = {task.name: [] for task in tasks}
    for number, sentence in enumerate(readings.sentences):
        if is_swapped[number]:
            continue
        first, words = int(readings.first[number]), sentence.words
        asked: dict[tuple[int, int], dict[str, str]] = {}
        for task in tasks:
            assert task.pairs is not None
            for one, other, label in task.pairs(sentence):
                asked.setdefault((one, other), {})[task.name] = label
        for (one, other), labels in asked.items():
            rows.append((first + one, first + other))
            reading.append(number)
            forms.append(f"{words[one].form}\t{words[other].form}")
            for task in tasks:
                said[task.name].append(labels.get(task.name))
    return _made("pair", readings, np.array(rows).reshape(-1, 2), reading, forms, tasks, said)


def _sentences(readings: Readings, tasks: Sequence[ProbingTask]) -> ProbeExamples:
    train = [readings.sentences[number] for number in readings.parts["train"]]
    is_swapped = readings.is_swapped
    said: dict[str, list[str | None]] = {}
    for task in tasks:
        assert task.sentence is not None
        label = task.sentence(
            [each for each, off in zip(train, is_swapped, strict=False) if not off]
        )
        said[task.name] = [
            label(original) if (is_asked if task.swaps else not off) else None
            for original, off, is_asked in zip(
                readings.original, is_swapped, readings.is_last_version, strict=True
            )
        ]
    rows = np.stack([readings.first[:-1], readings.first[1:] - 1], axis=1)
    reading = [*range(len(readings.sentences))]
    return _made("sentence", readings, rows, reading, None, tasks, said)


def _made(
    unit: Unit,
    readings: Readings,
    rows: ndarray,
    reading: Sequence[int],
    forms: Sequence[str] | None,
    tasks: Sequence[ProbingTask],
    said: Mapping[str, Sequence[str | None]],
) -> ProbeExamples:
    where = np.array(reading)
    parts = {
        part: slice(*np.searchsorted(where, [own.start, own.stop]).tolist())
        for part, own in readings.parts.items()
    }
    types = None
    if forms is not None:
        numbers: dict[str, int] = {}
        types = np.array([numbers.setdefault(form, len(numbers)) for form in forms])
    return ProbeExamples(
        unit=unit,
        rows=rows,
        reading=where,
        number=readings.number[where],
        types=types,
        parts=parts,
        tasks=[_labelled(task, said[task.name], parts) for task in tasks],
    )


def _labelled(
    task: ProbingTask, said: Sequence[str | None], parts: Mapping[str, slice]
) -> TaskLabels:
    frequent = Counter(label for label in said[parts["train"]] if label is not None)
    # of equally frequent ones the first in the alphabet, so that numbers hang on nothing else
    ranked = sorted(frequent, key=lambda label: (-frequent[label], label))[: task.most_frequent]
    if len(ranked) < 2:
        raise UserError(
            f"{task.name} has {len(ranked)} classes among the sentences that are learned from, and "
            "a probe needs two: leave the task out, or learn from more sentences"
        )
    numbers = {label: number for number, label in enumerate(ranked)}
    other = NOT_ASKED if task.most_frequent is not None else len(ranked)
    labels = np.array([NOT_ASKED if label is None else numbers.get(label, other) for label in said])
    if not (labels[parts["test"]] >= 0).any():
        raise UserError(f"{task.name} asks nothing of the test sentences: leave the task out")
    return TaskLabels(
        task=task,
        labels=labels,
        classes=tuple(ranked),
        num_unknown=int((labels[parts["test"]] == len(ranked)).sum()),
    )
