"""The anchor of trigrams, by its definition."""

from itertools import product

import numpy as np
import pytest

from lmcompare.evaluation.ngram import DISCOUNT, Trigrams

END, SIZE = 0, 7
IS_TEXT = np.array([False, True, True, True, True, True, False])
STREAM = [1, 2, 3, 1, 2, 4, 1, 2, 3, END, 2, 3, 3, 5, END, 1, 2, END]


def trigrams() -> Trigrams:
    return Trigrams(np.array(STREAM, dtype=np.uint16), IS_TEXT, end=END)


def by_hand(u: int, v: int, w: int) -> float:
    """Chen & Goodman 1999, equations 15 to 17."""
    stream = [END, END, *STREAM]
    triples = [t for t in zip(stream, stream[1:], stream[2:], strict=False) if IS_TEXT[t[2]]]
    pairs = {(b, c) for _, b, c in triples}

    def one(word: int) -> float:
        behind = [len({b for b, c in pairs if c == each}) for each in range(SIZE)]
        seen = sum(num > 0 for num in behind)
        return (max(behind[word] - DISCOUNT, 0) + DISCOUNT * seen / IS_TEXT.sum()) / sum(behind)

    def two(b: int, c: int) -> float:
        behind = {each: len({t[0] for t in triples if t[1:] == (b, each)}) for each in range(SIZE)}
        total = sum(behind.values())
        if not total:
            return one(c)
        kinds = sum(num > 0 for num in behind.values())
        return (max(behind[c] - DISCOUNT, 0) + DISCOUNT * kinds * one(c)) / total

    counts = [triples.count((u, v, each)) for each in range(SIZE)]
    if not sum(counts):
        return two(v, w)
    kinds = sum(num > 0 for num in counts)
    return (max(counts[w] - DISCOUNT, 0) + DISCOUNT * kinds * two(v, w)) / sum(counts)


@pytest.mark.parametrize("context", [*product((1, 2, 3, 6), repeat=2)], ids=str)
def test_by_the_definition(context: tuple[int, int]) -> None:
    counted = trigrams()
    for word in range(1, 6):
        found = counted.probability(np.array([*context, word]))[2]
        assert found == pytest.approx(by_hand(*context, word))


def test_probabilities_add_up_to_one() -> None:
    counted = trigrams()
    for context in ([], [1], [1, 2], [5, 5], [6, 3]):
        whole = [counted.probability(np.array([*context, word]))[-1] for word in range(1, 6)]
        assert sum(whole) == pytest.approx(1)


def test_what_is_no_text_costs_nothing_and_is_context() -> None:
    counted = trigrams()
    assert counted.probability(np.array([1, 6, 2]))[1] == 1
    first, second = (counted.probability(np.array(row))[-1] for row in ([1, 2, 3], [6, 2, 3]))
    assert first != second


def test_a_document_begins_as_documents_do() -> None:
    """The first token of one was seen behind an end, as the first of all."""
    counted = trigrams()
    first = counted.probability(np.array([2]))[0]
    assert first == pytest.approx(by_hand(END, END, 2))
    assert counted.probability(np.array([1]))[0] > first, "two documents begin with 1, one with 2"


def test_a_text_that_says_nothing() -> None:
    """Every word is as likely as any other then."""
    counted = Trigrams(np.array([END]), IS_TEXT, end=END)
    assert counted.probability(np.array([1, 2])).tolist() == [0.2, 0.2]
