"""The labels of probing tasks: of words, of pairs of words, and of whole sentences.

None is said where a question makes no sense. What labels sentences is made of those that are
learned from, as lengths are binned and words ranked by them.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from lmcompare import rng
from lmcompare.evaluation.probes.treebank import is_swapped
from lmcompare.evaluation.readers.conllu import Sentence

CONTENT_WORDS = range(50, 100)  # ranks of the words that a sentence's content is asked of
NUM_LENGTHS = 6  # bins of equally many training sentences

Pair = tuple[int, int, str]  # two words by their index, and the label
OfSentence = Callable[[Sentence], str | None]


def relations(sentence: Sentence) -> list[str | None]:
    """Return the label of the arc between each word and its head."""
    return [word.relation for word in sentence.words]


def head_direction(sentence: Sentence) -> list[str | None]:
    """Return on which side the head of each word is; of a root that it is one."""
    return [
        None if word.head is None else "root" if word.head == 0 else _side(word.head - number)
        for number, word in enumerate(sentence.words, start=1)
    ]


def _side(distance: int) -> str:
    return "right" if distance > 0 else "left"


def head_distance(sentence: Sentence) -> list[str | None]:
    """Return how far away the head of each word is, in bins; of a root that it is one."""
    return [
        None if word.head is None else "root" if word.head == 0 else _far(abs(word.head - number))
        for number, word in enumerate(sentence.words, start=1)
    ]


def _far(distance: int) -> str:
    for low, high in ((1, 1), (2, 2), (3, 4), (5, 8)):
        if distance <= high:
            return f"{low}-{high}" if high > low else f"{low}"
    return "9+"


def neighbours(sentence: Sentence, *, shift: int) -> list[str | None]:
    """Return the word that stands so many places after each; None beyond the ends."""
    forms = [word.form for word in sentence.words]
    found: list[str | None] = []
    for index in range(len(forms)):
        other = index + shift
        found.append(forms[other] if 0 <= other < len(forms) else None)
    return found


def arcs(sentence: Sentence) -> list[Pair]:
    """Return each dependent with its head, and with a word that has no arc with it.

    That is as far away as the head, or as nearly so as there is one, so that distance says little.
    """
    heads = sentence.heads
    if heads is None:
        return []
    found = []
    order = rng.key("pairs without an arc", sentence.text)
    for index, head in enumerate(heads):
        if head == 0:
            continue
        near = _as_far(index, head - 1, heads)
        if not near:
            continue
        found.append((index, head - 1, "arc"))
        found.append((index, near[order % len(near)], "none"))
    return found


def _as_far(index: int, head: int, heads: Sequence[int]) -> list[int]:
    """Return the words without an arc to one that are about as far from it as its head is."""
    distance = abs(head - index)
    for off in range(len(heads)):
        near = [
            other
            for far in {distance - off, distance + off}
            for other in (index - far, index + far)
            if far > 0 and 0 <= other < len(heads) and other != head and heads[other] != index + 1
        ]
        if near:
            return sorted(near)
    return []


def arc_labels(sentence: Sentence) -> list[Pair]:
    """Return each dependent with its head and the label of the arc between them."""
    return [
        (index, word.head - 1, word.relation)
        for index, word in enumerate(sentence.words)
        if word.head and word.relation is not None
    ]


def length_bins(train: Sequence[Sentence]) -> OfSentence:
    """Label a sentence by the bin of its number of words; the bins hold as many each."""
    ends = np.quantile(
        [len(sentence.words) for sentence in train], np.arange(1, NUM_LENGTHS) / NUM_LENGTHS
    )
    bounds = [0, *dict.fromkeys(int(end) for end in ends)]

    def label(sentence: Sentence) -> str:
        bin_ = int(np.searchsorted(bounds, len(sentence.words)))  # (low, high]
        low = bounds[bin_ - 1] + 1
        return f"{low} to {bounds[bin_]}" if bin_ < len(bounds) else f"{low} or more"

    return label


def depths(heads: Sequence[int]) -> list[int]:
    """Return how many arcs lead from each word up to the root."""
    found: dict[int, int] = {0: -1}
    for start in range(1, len(heads) + 1):
        path = []
        word = start
        while word not in found:
            path.append(word)
            word = heads[word - 1]
        for step, each in enumerate(reversed(path), start=1):
            found[each] = found[word] + step
    return [found[word] for word in range(1, len(heads) + 1)]


def depth_classes(train: Sequence[Sentence]) -> OfSentence:
    """Label a tree by the median depth of training trees with as many words."""
    by_length: dict[int, list[int]] = {}
    for sentence in train:
        if (heads := sentence.heads) is not None:
            by_length.setdefault(len(heads), []).append(max(depths(heads)))
    median = {length: float(np.median(own)) for length, own in by_length.items() if len(own) > 1}

    def label(sentence: Sentence) -> str | None:
        heads = sentence.heads
        if heads is None or len(heads) not in median:
            return None
        off = max(depths(heads)) - median[len(heads)]
        return None if off == 0 else "deeper" if off > 0 else "flatter"

    return label


def _root(sentence: Sentence) -> int | None:
    """Return the number of the only root, from 1; None if there is none or more than one."""
    roots = [number for number, word in enumerate(sentence.words, start=1) if word.head == 0]
    return roots[0] if len(roots) == 1 else None


def root_tense(train: Sequence[Sentence]) -> OfSentence:
    """Label a sentence by the tense of its root."""

    def label(sentence: Sentence) -> str | None:
        root = _root(sentence)
        return None if root is None else sentence.words[root - 1].features.get("Tense")

    return label


def subject_number(train: Sequence[Sentence]) -> OfSentence:
    """Label a sentence by the number of its root's subject, if that is one word."""

    def label(sentence: Sentence) -> str | None:
        root = _root(sentence)
        if root is None:
            return None
        subjects = [
            word.features.get("Number")
            for word in sentence.words
            if word.head == root and (word.relation or "").partition(":")[0] == "nsubj"
        ]
        return subjects[0] if len(subjects) == 1 else None

    return label


def content_words(train: Sequence[Sentence]) -> OfSentence:
    """Label a sentence by which of some words it has, if it has exactly one."""
    num = Counter(word.form.lower() for sentence in train for word in sentence.words)
    ranked = [form for form, _ in num.most_common() if form.isalpha()]
    known = {*ranked[CONTENT_WORDS.start : CONTENT_WORDS.stop]}

    def label(sentence: Sentence) -> str | None:
        found = {word.form.lower() for word in sentence.words} & known
        return found.pop() if len(found) == 1 else None

    return label


def word_order(train: Sequence[Sentence]) -> OfSentence:
    """Label a sentence by whether it is read with two words exchanged."""
    return lambda sentence: "swapped" if is_swapped(sentence) else "original"
