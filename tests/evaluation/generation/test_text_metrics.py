"""Statistics of texts whose answers are known."""

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.evaluation.generation import text_metrics
from lmcompare.evaluation.generation.text_metrics import (
    distinct,
    entropy,
    ngram_keys,
    occurring,
    repetition,
    self_bleu,
    standard_error,
    words,
)

SAME = ["the"] * 13
UNLIKE = [f"word{number}" for number in range(13)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The cat's on the mat.", ["The", "cat's", "on", "the", "mat", "."]),
        ("end...) x", ["end", "...)", "x"]),
        ("3.5% _x_", ["3", ".", "5", "%", "_x_"]),
        ("日本 語", ["日", "本", "語"]),
        ("two  spaces\n\n", ["two", "\\x20", "spaces", "\\xa", "\\xa"]),
        ("a\\xa", ["a", "\\", "xa"]),
        (" ", ["\\x20"]),
        ("", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text())
def test_words_leave_nothing_but_spaces_out(text: str) -> None:
    assert "".join(words(text.replace(" ", ""))) == "".join(
        f"\\x{ord(c):x}" if c.isspace() else c for c in text.replace(" ", "")
    )


# variety


def test_one_word_over_and_over() -> None:
    assert entropy([SAME]) == 0
    assert distinct([SAME], 1) == 1 / 13
    assert distinct([SAME], 2) == 1 / 12
    assert repetition([SAME]) == 9 / 10


def test_no_word_twice() -> None:
    assert entropy([UNLIKE]) == pytest.approx(math.log2(13))
    assert [distinct([UNLIKE], n) for n in (1, 2, 3)] == [1, 1, 1]
    assert repetition([UNLIKE]) == 0


def test_variety_is_of_all_texts_and_repetition_within_each() -> None:
    assert distinct([UNLIKE, UNLIKE], 2) == 0.5
    assert repetition([UNLIKE, UNLIKE]) == 0
    assert entropy([UNLIKE, UNLIKE]) == pytest.approx(math.log2(13))
    assert repetition([SAME, UNLIKE]) == 9 / 20
    assert entropy([["a", "b"], ["a", "c"]]) == 1.5


def test_ngrams_do_not_span_texts() -> None:
    assert distinct([["a", "b"], ["a", "b"], ["b", "a"]], 2) == 2 / 3
    assert distinct([["a"], ["b"]], 2) is None


def test_of_nothing_nothing_is_known() -> None:
    for texts in ([], [[]], [["a", "b", "c"], []]):
        assert repetition(texts) is None
    assert entropy([[]]) is None
    assert distinct([[], []], 1) is None


# likeness


def test_copies_are_wholly_alike_and_strangers_not_at_all() -> None:
    assert self_bleu([UNLIKE, UNLIKE, UNLIKE]) == pytest.approx([1, 1, 1])
    strangers = [[f"{word}{text}" for word in UNLIKE] for text in range(3)]
    assert max(self_bleu(strangers) or [1.0]) < 0.05, "smoothing leaves a little"


def test_each_text_is_compared_with_all_others() -> None:
    """BLEU by hand, of a text that shares 3 of 4 words, 2 of 3 pairs, 1 of 2 triples, 0 of 1."""
    one, two, three = self_bleu([list("abcd"), list("abcx"), list("mnop")]) or []
    # the precision of no four-gram is smoothed to a half of one
    by_hand = (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** (1 / 4)
    assert one == two == pytest.approx(by_hand)
    assert three < 0.3


def test_likeness_needs_others() -> None:
    assert self_bleu([UNLIKE]) is None
    assert self_bleu([UNLIKE, []]) is None
    assert self_bleu([["a"], [], ["a"]]) == [1, None, 1]


def test_likeness_needs_sacrebleu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_metrics.has_bleu()
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    assert not text_metrics.has_bleu()
    assert self_bleu([UNLIKE, UNLIKE]) is None


# errors


def test_the_error_of_a_mean_is_the_usual_one() -> None:
    values = [1.0, 2.0, 4.0, 7.0, 11.0]
    usual = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    assert standard_error(lambda some: sum(some) / len(some), values) == pytest.approx(usual)


def test_the_error_of_distinct_words_is_about_the_truth() -> None:
    """Of many sets of texts of one law, drawn anew, and by the jackknife of each."""
    rng = np.random.default_rng(1)
    sets = [
        [[str(word) for word in rng.zipf(1.5, size=11) % 97] for _ in range(23)] for _ in range(101)
    ]
    truth = np.std([distinct(texts, 2) for texts in sets])
    said = np.mean([standard_error(lambda some: distinct(some, 2), texts) for texts in sets])
    assert said == pytest.approx(truth, rel=0.25)


def test_an_error_needs_two_texts_and_a_statistic_of_each_set() -> None:
    assert standard_error(lambda some: 1.0, ["a"]) is None
    assert standard_error(lambda some: 1.0, []) is None
    assert standard_error(lambda some: None if "a" in some else 1.0, ["a", "b", "c"]) is None


# what is copied


def test_what_stands_in_the_stream_is_found() -> None:
    stream = [np.array([5, 7, 11, 13]), np.array([], dtype=np.int64), np.array([17, 19, 23])]
    texts = [np.array([7, 11, 13, 17, 19]), np.array([11, 7, 5]), np.array([13, 17])]
    found = occurring(texts, stream, 3)
    assert [each.tolist() for each in found] == [[True] * 3, [False], []]


@given(
    st.lists(st.integers(0, 2), max_size=40),
    st.lists(st.lists(st.integers(0, 2), max_size=11), max_size=3),
    st.integers(1, 5),
    st.integers(1, 7),
)
def test_found_is_what_a_search_finds(
    stream: list[int], texts: list[list[int]], n: int, size: int
) -> None:
    """However the stream is cut."""
    parts = [np.array(stream[start : start + size]) for start in range(0, len(stream), size)]
    known = {tuple(stream[start : start + n]) for start in range(len(stream) - n + 1)}
    found = occurring([np.array(text, dtype=np.int64) for text in texts], parts, n)
    assert [each.tolist() for each in found] == [
        [tuple(text[start : start + n]) in known for start in range(len(text) - n + 1)]
        for text in texts
    ]


def test_the_stream_is_read_part_by_part() -> None:
    held = []

    def stream() -> itertools.chain[np.ndarray]:
        for number in range(5):
            held.append(number)
            yield np.arange(3) + number

    assert not occurring([np.array([90, 91])], stream(), 2)[0].any()
    assert held == [0, 1, 2, 3, 4]
    assert occurring([np.array([90])], stream(), 2)[0].tolist() == []
    assert len(held) == 5, "nothing to look for, nothing read"


def test_unlike_ngrams_have_unlike_keys() -> None:
    small = np.array([*itertools.product(range(5), repeat=4)])
    assert len({int(ngram_keys(each, 4)[0]) for each in small}) == 5**4
    high = 2**32 - 1
    pairs = [np.array(pair) for pair in itertools.permutations([0, 1, 2, high, high - 1], 2)]
    assert len({int(ngram_keys(pair, 2)[0]) for pair in pairs}) == 20
