"""The sentences of a treebank in the order in which models read them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from lmcompare import rng
from lmcompare.evaluation.probes.treebank import PARTS, Treebank, is_swapped, swapped
from lmcompare.evaluation.readers.conllu import Sentence


@dataclass(frozen=True, kw_only=True, eq=False)
class Readings:
    """The sentences that models read, one after another.

    Those that are learned from are shuffled, so that any run of them is a sample of all.

    Attributes:
        sentences: as they are read.
        original: the same as they stand in the treebank, with their labels.
        number: of each in its part of the treebank.
        first: the number of the first word of each, and that of all words at the end.
        parts: the sentences of each part, as a range of their numbers.
    """

    sentences: Sequence[Sentence]
    original: Sequence[Sentence]
    number: Int[ndarray, " R"]
    first: Int[ndarray, " R1"]
    parts: Mapping[str, range]

    @property
    def num_words(self) -> int:
        """Return the number of words of all sentences."""
        return int(self.first[-1])

    @property
    def is_swapped(self) -> list[bool]:
        """Tell of each sentence whether two of its words are exchanged."""
        pairs = zip(self.sentences, self.original, strict=True)
        return [read is not original for read, original in pairs]

    @property
    def is_last_version(self) -> list[bool]:
        """Tell of each sentence whether it is not read again with two of its words exchanged."""
        return [
            following is not original
            for original, following in zip(self.original, [*self.original[1:], None], strict=True)
        ]

    @staticmethod
    def of(treebank: Treebank, *, swaps: bool) -> "Readings":
        """Return the sentences of a treebank.

        Args:
            treebank: in its parts.
            swaps: whether every other sentence is also read with two words exchanged.
        """
        read: list[Sentence] = []
        original: list[Sentence] = []
        number: list[int] = []
        parts: dict[str, range] = {}
        for part in PARTS:
            own, start = treebank.parts[part], len(read)
            order: Sequence[int] = range(len(own))
            if part == "train":
                draws = rng.generator("order of a treebank", len(own))
                order = torch.randperm(len(own), generator=draws).tolist()
            for each in order:
                for version in _versions(own[each], swaps=swaps):
                    read.append(version)
                    original.append(own[each])
                    number.append(each)
            parts[part] = range(start, len(read))
        sizes = [len(sentence.words) for sentence in read]
        return Readings(
            sentences=read,
            original=original,
            number=np.array(number),
            first=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            parts=parts,
        )


def _versions(sentence: Sentence, *, swaps: bool) -> Iterator[Sentence]:
    yield sentence
    if swaps and is_swapped(sentence) and (other := swapped(sentence)) is not None:
        yield other
