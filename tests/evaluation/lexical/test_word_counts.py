"""What a run has read of words and pairs is counted as by hand."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from lmcompare.config.run import parse_data
from lmcompare.data import Prepared, TokenizerConfig, prepare, shuffled
from lmcompare.evaluation.lexical.record import BANDS, band_of
from lmcompare.evaluation.lexical.word_counts import counts_read, pair_keys, word_keys
from tests.tiny import sentences

LENGTH, SEED = 23, 5


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("words")
    (folder / "text.txt").write_text(sentences(211), encoding="utf-8")
    data = parse_data({"source": str(folder / "text.txt")})
    return prepare(data, TokenizerConfig(kind="bytes"), cache=folder / "cache")


def by_hand(prepared: Prepared, num_blocks: int) -> tuple[Counter, Counter]:
    """Whole words of each block that was read, and those that follow each other in it."""
    split = prepared.split("train")
    order = shuffled(np.arange(num_blocks), num_blocks=split.num_blocks(LENGTH), seed=SEED)
    words, pairs = Counter(), Counter()
    for number in order.tolist():
        text = split.blocks([number], length=LENGTH, separate_documents=False)
        tokens, word = text.tokens[0, 1:].tolist(), text.word[0, 1:].tolist()
        found = [
            tuple(token for token, own in zip(tokens, word, strict=True) if own == each)
            for each in dict.fromkeys(word)
        ][1:-1]
        words.update(found)
        pairs.update(pairwise(found))
    return words, pairs


def key_of(word: tuple[int, ...]) -> int:
    starts = np.zeros(len(word), dtype=bool)
    starts[0] = True
    keys, _ = word_keys(np.array(word), starts)
    return int(keys[0])


@pytest.mark.parametrize("epochs", [0.3, 1.0, 2.4])
def test_words_and_pairs_are_counted_as_often_as_they_were_read(
    prepared: Prepared, epochs: float
) -> None:
    split = prepared.split("train")
    num_blocks = int(epochs * split.num_blocks(LENGTH))
    words, pairs = by_hand(prepared, num_blocks)
    assert len(pairs) > 100
    wanted = [*words, (1, 2, 3)]
    keys = np.array([key_of(each) for each in wanted], dtype=np.uint64)
    both = np.array([[key_of(one), key_of(two)] for one, two in pairs], dtype=np.uint64)
    found, of_pairs = counts_read(
        split,
        keys,
        pair_keys(both[:, 0], both[:, 1]),
        length=LENGTH,
        seed=SEED,
        num_blocks=num_blocks,
    )
    assert found.tolist() == [words[each] for each in wanted]
    assert of_pairs.tolist() == [*pairs.values()]


def test_words_of_the_same_tokens_in_another_order_are_others() -> None:
    assert key_of((3, 4)) != key_of((4, 3))
    assert key_of((3,)) != key_of((3, 3))
    one, two = np.array([key_of((3,))], np.uint64), np.array([key_of((4,))], np.uint64)
    assert pair_keys(one, two) != pair_keys(two, one)


def test_a_band_holds_its_lowest_number() -> None:
    assert [band_of(count) for count in (0, 1, 9, 10, 99, 100, 999, 1_000, 10**9)] == [
        *("0", "1-9", "1-9", "10-99", "10-99", "100-999", "100-999", "≥1000", "≥1000")
    ]
    assert [band_of(lowest) for lowest in BANDS.values()] == [*BANDS]
