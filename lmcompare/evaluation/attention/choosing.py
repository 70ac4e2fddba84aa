"""The head that follows a relation best, chosen on some sentences and scored on others.

Of a hundred heads one does well by chance. So what the best one is said to reach is what it reaches
in sentences that it was not chosen by, and the best fixed offset is treated likewise.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from lmcompare.evaluation.attention.record import (
    Direction,
    Grid,
    RelationItem,
    RelationResult,
    key_of,
)
from lmcompare.evaluation.attention.relations import OFFSETS, JudgedSentence


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """Sums over sentences, for each relation in each direction.

    Attributes:
        cases: their number.
        unseen: the number of those that are left out, as no target is in sight.
        hits: of each head.
        offset_hits: of each of `OFFSETS`.
    """

    cases: Int[ndarray, " K"]
    unseen: Int[ndarray, " K"]
    hits: Int[ndarray, "K L H"]
    offset_hits: Int[ndarray, "K O"]

    @staticmethod
    def of(judged: Iterable[JudgedSentence], num_keys: int) -> "Tally":
        """Return the sums over at least one sentence."""
        cases, unseen = np.zeros((2, num_keys), dtype=np.int64)
        offset_hits = np.zeros((num_keys, len(OFFSETS)), dtype=np.int64)
        hits = None
        for each in judged:
            if hits is None:
                hits = np.zeros((num_keys, *each.hits.shape[1:]), dtype=np.int64)
            np.add.at(cases, each.keys, 1)
            np.add.at(unseen, each.unseen, 1)
            np.add.at(hits, each.keys, each.hits)
            np.add.at(offset_hits, each.keys, each.offset_hits)
        assert hits is not None
        return Tally(cases=cases, unseen=unseen, hits=hits, offset_hits=offset_hits)

    def shares(self, key: int) -> Float[ndarray, "L H"]:
        """Return the share of hits of each head."""
        found: ndarray = self.hits[key] / self.cases[key]
        return found

    def offset_shares(self, key: int) -> Float[ndarray, " O"]:
        """Return the share of hits of each of `OFFSETS`."""
        found: ndarray = self.offset_hits[key] / self.cases[key]
        return found


def choose(
    relation: str,
    direction: Direction,
    key: int,
    *,
    choice: Tally,
    test: Tally,
    layers: Sequence[int],
    fewest: int,
) -> RelationResult | None:
    """Return how well the head and the offset that were chosen do, or None of too few cases.

    Of equals the lowest head is chosen, and the nearest offset, the left one first.

    Args:
        relation: the label.
        direction: to the head, or from it.
        key: the number of both.
        choice: the sentences for the choice.
        test: the test sentences.
        layers: the numbers of the layers.
        fewest: cases that either of them has.
    """
    if min(choice.cases[key], test.cases[key]) < fewest:
        return None
    chosen, scored = choice.shares(key), test.shares(key)
    layer, head = np.unravel_index(int(chosen.argmax()), chosen.shape)
    near = np.argsort(np.abs(OFFSETS), kind="stable")
    offset_chosen = choice.offset_shares(key)
    offset = near[int(offset_chosen[near].argmax())]
    return RelationResult(
        relation=relation,
        direction=direction,
        num_choice=int(choice.cases[key]),
        num_cases=int(test.cases[key]),
        num_out_of_sight=int(test.unseen[key]),
        layer=layers[int(layer)],
        head=int(head) + 1,
        choice=float(chosen[layer, head]),
        value=float(scored[layer, head]),
        offset=int(OFFSETS[offset]),
        offset_choice=float(offset_chosen[offset]),
        offset_value=float(test.offset_shares(key)[offset]),
        choices=grid(chosen),
        values=grid(scored),
    )


def grid(values: Float[ndarray, "L H"]) -> Grid:
    """Return numbers of layers by heads as they are kept."""
    return tuple(tuple(row) for row in values.tolist())


def item_of(
    number: int,
    judged: JudgedSentence,
    results: Sequence[tuple[int, RelationResult]],
    layers: Sequence[int],
) -> RelationItem:
    """Return what is kept of a test sentence.

    Args:
        number: of the sentence in its part of the treebank.
        judged: what was found of it.
        results: with the numbers of their relations and directions.
        layers: the numbers of the layers.
    """
    cases: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    offset_hits: Counter[str] = Counter()
    for key, result in results:
        own = judged.keys == key
        if own.any():
            name = key_of(result.relation, result.direction)
            place = layers.index(result.layer)
            cases[name] = int(own.sum())
            hits[name] = int(judged.hits[own, place, result.head - 1].sum())
            offset = int(np.flatnonzero(result.offset == OFFSETS)[0])
            offset_hits[name] = int(judged.offset_hits[own, offset].sum())
    return RelationItem(sentence=number, cases=cases, hits=+hits, offset_hits=+offset_hits)
