"""What probes are asked: a label for words, for pairs of words, or for sentences.

A label is a function of what an annotator said, or of the words themselves. None is said where the
question makes no sense.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation.probes import labels
from lmcompare.evaluation.probes.labels import OfSentence, Pair
from lmcompare.evaluation.probes.record import Group
from lmcompare.evaluation.probes.treebank import Treebank
from lmcompare.evaluation.readers.conllu import Sentence

Unit = Literal["word", "pair", "sentence", "tree"]
FEWEST = 2_000  # training words that have a feature; others are asked about by name only
MOST_FREQUENT = 50  # words that their identity is asked of
ALL = "all"

OfWords = Callable[[Sentence], Sequence[str | None]]  # one for each word


@dataclass(frozen=True, kw_only=True)
class ProbingTask:
    """One question.

    Attributes:
        name: as it is chosen by.
        group: what it belongs to.
        unit: what has a label.
        asks: the question in words.
        words: of a task of words: their labels.
        pairs: of a task of pairs: which of a sentence are asked about.
        sentence: of a task of sentences: what makes the labels, of all sentences that are learned
            from.
        most_frequent: how many classes there are at most; examples of others are not asked about.
        needs: what a sentence must say of its words; for an error.
    """

    name: str
    group: Group
    unit: Unit
    asks: str
    words: OfWords | None = None
    pairs: Callable[[Sentence], list[Pair]] | None = None
    sentence: Callable[[Sequence[Sentence]], OfSentence] | None = None
    most_frequent: int | None = None
    needs: str = ""
    swaps: bool = field(default=False)  # whether every other sentence has two words exchanged


_TREE = "a tree (columns HEAD and DEPREL)"
TASKS = (
    ProbingTask(
        name="upos",
        group="token",
        unit="word",
        asks="the universal part of speech of a word",
        words=lambda sentence: [word.upos for word in sentence.words],
        needs="parts of speech (column UPOS)",
    ),
    ProbingTask(
        name="xpos",
        group="token",
        unit="word",
        asks="the part of speech of a word in the language's own tag set",
        words=lambda sentence: [word.xpos for word in sentence.words],
        needs="parts of speech of the language (column XPOS)",
    ),
    ProbingTask(
        name="deprel",
        group="token",
        unit="word",
        asks="the label of the dependency between a word and its head, from the word alone",
        words=labels.relations,
        needs=_TREE,
    ),
    ProbingTask(
        name="head-direction",
        group="token",
        unit="word",
        asks="whether the head of a word is to its left or its right, or the word is the root",
        words=labels.head_direction,
        needs=_TREE,
    ),
    ProbingTask(
        name="head-distance",
        group="token",
        unit="word",
        asks="how many words away the head of a word is",
        words=labels.head_distance,
        needs=_TREE,
    ),
    ProbingTask(
        name="entity",
        group="token",
        unit="word",
        asks="the entity tag of a word (BIO)",
        words=lambda sentence: [word.tag for word in sentence.words],
        needs="entity tags (columns of words and tags)",
    ),
    ProbingTask(
        name="arc",
        group="edge",
        unit="pair",
        asks="whether the second of two words is the head of the first",
        pairs=labels.arcs,
        needs=_TREE,
    ),
    ProbingTask(
        name="arc-label",
        group="edge",
        unit="pair",
        asks="the label of the dependency between a word and its head, from both",
        pairs=labels.arc_labels,
        needs=_TREE,
    ),
    ProbingTask(
        name="tree-distance",
        group="structure",
        unit="tree",
        asks="the number of arcs between any two words of a sentence",
        needs=_TREE,
    ),
    ProbingTask(
        name="tree-depth",
        group="structure",
        unit="tree",
        asks="the number of arcs between a word and the root",
        needs=_TREE,
    ),
    *(
        ProbingTask(
            name=f"{which}word",
            group="identity",
            unit="word",
            asks=f"which word the {asks} is, if it is one of the {MOST_FREQUENT} most frequent",
            words=lambda sentence, shift=shift: labels.neighbours(sentence, shift=shift),  # type: ignore[misc]
            most_frequent=MOST_FREQUENT,
        )
        for which, asks, shift in (
            ("", "word", 0),
            ("previous-", "one before", -1),
            ("next-", "one after", 1),
        )
    ),
    ProbingTask(
        name="sentence-length",
        group="sentence",
        unit="sentence",
        asks="how many words a sentence has",
        sentence=labels.length_bins,
    ),
    ProbingTask(
        name="sentence-depth",
        group="sentence",
        unit="sentence",
        asks="whether its tree is deeper than the median of trees with as many words",
        sentence=labels.depth_classes,
        needs=_TREE,
    ),
    ProbingTask(
        name="root-tense",
        group="sentence",
        unit="sentence",
        asks="the tense of its root",
        sentence=labels.root_tense,
        needs="a tree and tenses (columns HEAD and FEATS)",
    ),
    ProbingTask(
        name="subject-number",
        group="sentence",
        unit="sentence",
        asks="the number of its root's subject",
        sentence=labels.subject_number,
        needs="a tree and numbers (columns HEAD and FEATS)",
    ),
    ProbingTask(
        name="word-content",
        group="sentence",
        unit="sentence",
        asks="which one of fifty words a sentence has",
        sentence=labels.content_words,
    ),
    ProbingTask(
        name="bigram-shift",
        group="sentence",
        unit="sentence",
        asks="whether two neighbouring words were exchanged",
        sentence=labels.word_order,
        swaps=True,
    ),
)


def _feature(name: str) -> ProbingTask:
    return ProbingTask(
        name=name,
        group="features",
        unit="word",
        asks=f"the feature {name} of words that have it",
        words=lambda sentence: [word.features.get(name) for word in sentence.words],
        needs=f"the feature {name} (column FEATS)",
    )


def choose_tasks(names: Sequence[str], treebank: Treebank) -> tuple[list[ProbingTask], list[str]]:
    """Return the probing tasks that are meant and that the treebank has labels for.

    Args:
        names: of tasks, of groups, or `all`.
        treebank: which says what features there are.

    Returns:
        The tasks, and what is to be said of groups of which some had no labels.

    Raises:
        UserError: there is no such task, a task that was named has no labels here, or none has.
    """
    features = Counter(
        name for each in treebank.parts["train"] for word in each.words for name in word.features
    )
    known = {task.name: task for task in (*TASKS, *map(_feature, sorted(features)))}
    groups: dict[str, list[ProbingTask]] = {"features": [], ALL: [*known.values()]}
    for task in known.values():
        groups.setdefault(task.group, []).append(task)
    chosen: dict[str, ProbingTask] = {}
    lacking: dict[str, None] = {}
    for name in names:
        if name not in known and name not in groups:
            raise UserError(
                f"there is no probing task '{name}': {did_you_mean(name, [*known, *groups])}"
            )
        for task in groups.get(name) or ([known[name]] if name in known else []):
            if task.group == "features" and name != task.name and features[task.name] < FEWEST:
                continue
            fault = _fault(task, treebank)
            if fault is None:
                chosen[task.name] = task
            elif name in known:
                lacking[fault] = None
    if not chosen:
        nothing = (
            f"{treebank.name} has labels for nothing that {' or '.join(names)} asks (features are "
            f"asked of {FEWEST:,} training words at least, unless one is named): name other tasks"
        )
        raise UserError(next(iter(lacking), nothing))
    return [*chosen.values()], [*lacking]


def _fault(task: ProbingTask, treebank: Treebank) -> str | None:
    """Say why a treebank cannot be asked about; None if it can."""
    train, test = treebank.parts["train"], treebank.parts["test"]
    classes = _labels(task, train, train)
    if not classes:
        needs = task.needs or "labels"
        return f"{task.name} needs {needs}, which {treebank.name} lacks: leave the task out"
    if len(classes) < 2 and task.unit != "tree":
        return (
            f"{task.name} has one class only in {treebank.name} ({next(iter(classes))}), and a "
            "probe needs two: leave the task out"
        )
    if not _labels(task, train, test):
        return f"{task.name} asks nothing of the test sentences of {treebank.name}: leave it out"
    return None


def _labels(task: ProbingTask, train: Sequence[Sentence], asked: Sequence[Sentence]) -> set[str]:
    """Return two of the labels of sentences, or as many as there are; a tree is one, too."""
    found: set[str | None] = set()
    label = task.sentence(train) if task.sentence else None
    for sentence in asked:
        if task.words is not None:
            found.update(task.words(sentence))
        elif task.pairs is not None:
            found.update(each for _, _, each in task.pairs(sentence))
        elif label is not None:
            found.add(label(sentence))
        elif sentence.heads is not None and len(sentence.words) > 2:
            found.add("tree")
        if len(found - {None}) > 1:
            break
    return {each for each in found if each is not None}
