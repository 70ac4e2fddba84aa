"""Heads that follow a relation: which word a word attends to most, and whether that is the target.

After Voita et al. 2019 (Analyzing Multi-Head Self-Attention, section 5.2) and Clark et al. 2019
(What Does BERT Look At?, section 4.2), beside the best fixed offset as they have it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare.data import Encoded
from lmcompare.evaluation.attention.maps import batches, layer_by_layer
from lmcompare.evaluation.attention.record import DIRECTIONS, key_of
from lmcompare.evaluation.attention.words import (
    Span,
    between_words,
    candidates,
    membership,
    most_attended,
)
from lmcompare.evaluation.probes.labels import arc_labels
from lmcompare.evaluation.readers.conllu import Sentence
from lmcompare.evaluation.states.reading import Reading
from lmcompare.evaluation.states.word_states import pieces_of
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import View

FARTHEST = 16  # words of an offset
OFFSETS = np.array([each for each in range(-FARTHEST, FARTHEST + 1) if each])
READ_AT_ONCE = 512  # sentences that are sorted by length together


@dataclass(frozen=True, kw_only=True)
class Case:
    """A word that has a target.

    Attributes:
        key: the relation and the direction.
        word: its index in the sentence.
        targets: the words one of which it should attend to most.
    """

    key: str
    word: int
    targets: frozenset[int]


def cases_of(sentence: Sentence) -> list[Case]:
    """Return the cases of a sentence, in both directions of each relation."""
    found: dict[tuple[str, int], set[int]] = {}
    to_head, to_dependent = DIRECTIONS
    for dependent, head, relation in arc_labels(sentence):
        found.setdefault((key_of(relation, to_head), dependent), set()).add(head)
        found.setdefault((key_of(relation, to_dependent), head), set()).add(dependent)
    return [
        Case(key=key, word=word, targets=frozenset(targets))
        for (key, word), targets in found.items()
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedSentence:
    """Tell what was found of the cases of one sentence.

    Attributes:
        keys: the number of the relation and direction of each case.
        hits: whether each head attends most to a target.
        offset_hits: whether each of `OFFSETS` leads to one.
        unseen: the keys of cases that are left out, as no target is in sight.
    """

    keys: Int[ndarray, " C"]
    hits: Bool[ndarray, "C L H"]
    offset_hits: Bool[ndarray, "C O"]
    unseen: Int[ndarray, " U"]


@dataclass(kw_only=True, eq=False)
class HeadJudge:
    """A model whose heads are judged by the dependencies of sentences.

    Attributes:
        model: the model.
        reading: how it reads.
        keys: the relations and directions that are asked about, by their number.
        counts: told of words that are not read.
        layers: the numbers of the layers, as soon as something was read.
    """

    model: LoadedModel
    reading: Reading
    keys: Mapping[str, int]
    counts: Counter[str] = field(default_factory=Counter)
    layers: tuple[int, ...] = ()

    def judge(
        self, sentences: Sequence[Sentence], report: Callable[[int], None] = lambda num: None
    ) -> Iterator[JudgedSentence]:
        """Yield what is found of each sentence, in their order.

        Args:
            sentences: each read by itself.
            report: told how many more sentences were read.
        """
        for start in range(0, len(sentences), READ_AT_ONCE):
            some = sentences[start : start + READ_AT_ONCE]
            documents = self.model.tokenizer.encode([each.text for each in some])
            found: dict[int, JudgedSentence] = {}
            for numbers, text in batches(self.model, documents):
                read = [some[each] for each in numbers]
                spans = [self._spans(some[each], documents[each]) for each in numbers]
                belongs = membership(spans, text.tokens.shape[1])
                judged = self._judged(read, belongs, self.reading.view(text))
                found.update(zip(numbers, judged, strict=True))
                report(len(numbers))
            yield from (found[each] for each in range(len(some)))

    def _spans(self, sentence: Sentence, document: Encoded) -> list[Span]:
        """Return the positions of each word, and none of one that is not read whole."""
        room, found = self.model.length - 1, []
        for start, stop in pieces_of(sentence, document):
            if start == stop:
                self.counts["words without a token"] += 1
            elif stop > room:
                self.counts["words after the cut of a long sentence"] += 1
            is_read = start < stop <= room
            found.append((1 + start, 1 + stop) if is_read else (0, 0))
        return found

    def _judged(
        self, sentences: Sequence[Sentence], belongs: Float[Tensor, "B N T"], view: View
    ) -> list[JudgedSentence]:
        device = self.model.net.device
        view, belongs = view.to(device), belongs.to(device)
        candidate = candidates(view.sees(), belongs)
        asked = _Asked.of(
            [cases_of(each) for each in sentences],
            self.keys,
            candidate=candidate.cpu().numpy(),
            is_read=belongs.any(2).cpu().numpy(),
        )
        row, word, target = (
            torch.from_numpy(each).to(device) for each in (asked.row, asked.word, asked.target)
        )

        def hits(weights: Float[Tensor, "B H T T"]) -> Bool[ndarray, "C H"]:
            chosen = most_attended(between_words(weights, belongs), candidate)
            found: ndarray = target.gather(1, chosen[row, :, word]).cpu().numpy()
            return found

        by_layer = layer_by_layer(self.model, view, hits)
        self.layers = tuple(by_layer)
        return asked.apart(np.stack([*by_layer.values()], axis=1), len(sentences))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """The cases of some sentences that are read together.

    Attributes:
        row: the sentence of each case.
        word: its word.
        key: the number of its relation and direction.
        target: which words are targets that it sees, at least one.
        unseen: by sentence, the keys of cases that have none.
    """

    row: Int[ndarray, " C"]
    word: Int[ndarray, " C"]
    key: Int[ndarray, " C"]
    target: Bool[ndarray, "C N"]
    unseen: Sequence[Sequence[int]]

    @staticmethod
    def of(
        cases: Sequence[Sequence[Case]],
        keys: Mapping[str, int],
        *,
        candidate: Bool[ndarray, "B N N"],
        is_read: Bool[ndarray, "B N"],
    ) -> "_Asked":
        found: list[tuple[int, int, int]] = []
        targets: list[ndarray] = []
        unseen: list[list[int]] = [[] for _ in cases]
        for row, own in enumerate(cases):
            for case in own:
                key = keys.get(case.key)
                wanted = [each for each in case.targets if is_read[row, each]]
                if key is None or not wanted or not is_read[row, case.word]:
                    continue
                target = np.zeros(candidate.shape[2], dtype=bool)
                target[wanted] = candidate[row, case.word, wanted]
                if target.any():
                    found.append((row, case.word, key))
                    targets.append(target)
                else:
                    unseen[row].append(key)
        columns = np.array(found, dtype=np.int64).reshape(-1, 3).T
        return _Asked(
            row=columns[0].copy(),
            word=columns[1].copy(),
            key=columns[2].copy(),
            target=np.array(targets, dtype=bool).reshape(-1, candidate.shape[2]),
            unseen=unseen,
        )

    def apart(self, hits: Bool[ndarray, "C L H"], num: int) -> list[JudgedSentence]:
        """Return what was found sentence by sentence."""
        leads = self.word[:, None] + OFFSETS
        inside = (leads >= 0) & (leads < self.target.shape[1])
        places = leads.clip(0, self.target.shape[1] - 1)
        offset_hits = inside & np.take_along_axis(self.target, places, axis=1)
        found = []
        for row in range(num):
            own = self.row == row
            found.append(
                JudgedSentence(
                    keys=self.key[own],
                    hits=hits[own],
                    offset_hits=offset_hits[own],
                    unseen=np.array(self.unseen[row], dtype=np.int64),
                )
            )
        return found
