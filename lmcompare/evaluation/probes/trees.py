"""The trees of sentences, as arcs, distances and depths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from lmcompare.evaluation.probes.labels import depths
from lmcompare.evaluation.probes.readings import Readings
from lmcompare.evaluation.readers.conllu import Sentence


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """A sentence with its tree.

    Attributes:
        number: of the sentence in its part of the treebank.
        first: the number of its first word.
        heads: of its words, from 1; 0 at the root.
        distance: the number of arcs between any two words.
        depth: the number of arcs from each word to the root.
        judged: the words that are no punctuation.
    """

    number: int
    first: int
    heads: Sequence[int]
    distance: Int[ndarray, "T T"]
    depth: Int[ndarray, " T"]
    judged: Int[ndarray, " K"]

    @property
    def arcs(self) -> set[tuple[int, int]]:
        """Return the arcs between judged words, the earlier word first."""
        judged = {*self.judged.tolist()}
        return {
            (min(word, head - 1), max(word, head - 1))
            for word, head in enumerate(self.heads)
            if head and {word, head - 1} <= judged
        }

    @property
    def root(self) -> int:
        """Return the index of the root."""
        return self.heads.index(0)


def trees_of(readings: Readings, known: ndarray) -> tuple[dict[str, list[Tree]], int]:
    """Return the trees of each part, and how many sentences have none or an unknown word."""
    is_swapped, left_out = readings.is_swapped, 0
    found: dict[str, list[Tree]] = {part: [] for part in readings.parts}
    for part, numbers in readings.parts.items():
        for number in numbers:
            if is_swapped[number]:
                continue
            sentence, first = readings.sentences[number], int(readings.first[number])
            heads = sentence.heads
            if heads is None or not known[first : first + len(sentence.words)].all():
                left_out += 1
            elif len(heads) > 1:
                found[part].append(_tree(sentence, heads, int(readings.number[number]), first))
    return found, left_out


def _tree(sentence: Sentence, heads: Sequence[int], number: int, first: int) -> Tree:
    above: list[list[int]] = []  # each word and the words above it, up to the root
    for word in range(len(heads)):
        path = [word]
        while heads[path[-1]]:
            path.append(heads[path[-1]] - 1)
        above.append(path[::-1])
    distance = np.zeros((len(heads), len(heads)), dtype=np.int64)
    for one, path in enumerate(above):
        for other in range(one):
            shared = 0
            for left, right in zip(path, above[other], strict=False):
                if left != right:
                    break
                shared += 1
            distance[one, other] = len(path) + len(above[other]) - 2 * shared
    return Tree(
        number=number,
        first=first,
        heads=heads,
        distance=distance + distance.T,
        depth=np.array(depths(heads)),
        judged=np.array(
            [
                index
                for index, word in enumerate(sentence.words)
                if not _is_punctuation(word.upos, word.relation)
            ],
            dtype=np.int64,
        ),
    )


def _is_punctuation(upos: str | None, relation: str | None) -> bool:
    return upos == "PUNCT" or (upos is None and relation == "punct")
