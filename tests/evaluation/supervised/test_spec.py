"""Rows to learn from: their batches and their texts."""

from collections import Counter
from itertools import islice

from lmcompare.data import Tokenizer
from lmcompare.evaluation.supervised.spec import batches, joined
from lmcompare.objectives import Clm
from tests.evaluation.supervised.lessons import rows_of
from tests.untrained import subject_of


def test_batches_hold_each_row_once_an_epoch(tokenizer: Tokenizer) -> None:
    rows = rows_of(subject_of(Clm(), tokenizer), 37)
    number = {row: place for place, row in enumerate(rows)}

    def order(name: str, num: int) -> list[list[int]]:
        return [
            [number[row] for row in batch] for batch in islice(batches(rows[:num], name=name), 6)
        ]

    first = order("one", 37)
    for epoch in (first[:3], first[3:]):
        assert Counter(each for batch in epoch for each in batch) == Counter(range(37))
    assert first[:3] != first[3:]
    assert first == order("one", 37)
    assert first != order("two", 37)
    for batch in first:
        sizes = [int(rows[each].document.bytes.sum()) for each in batch]
        assert sizes == sorted(sizes)


def test_texts_are_joined_by_an_end_token(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    one, two, nothing = tokenizer.encode(["a cat", "dog", ""])
    whole = joined([one, two], model)
    assert whole.ids.tolist() == [*one.ids, tokenizer.vocab.eos, *two.ids]
    assert whole.bytes.sum() == len("a catdog")
    assert joined([one], model).ids.tolist() == one.ids.tolist()
    assert joined([nothing, two], model).ids.tolist() == two.ids.tolist()
    assert joined([nothing], model).ids.tolist() == [tokenizer.vocab.eos]
