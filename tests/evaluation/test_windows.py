"""Every token is asked for once, with the context that it is due."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.data import Encoded
from lmcompare.evaluation.windows import Window, stack, windows
from lmcompare.vocab import Vocab


@given(
    st.integers(1, 60),
    st.integers(1, 25).flatmap(lambda length: st.tuples(st.just(length), st.integers(1, length))),
    st.booleans(),
)
def test_windows_ask_for_every_token_once(
    num_tokens: int, shape: tuple[int, int], both_sides: bool
) -> None:
    length, stride = shape
    parts = list(windows(5, num_tokens, length=length, stride=stride, both_sides=both_sides))
    asked = [place for part in parts for place in range(part.first, part.last)]
    assert asked == list(range(num_tokens))
    for part in parts:
        assert part.document == 5
        assert 0 <= part.start <= part.first
        assert part.last <= part.stop <= num_tokens
        assert part.stop - part.start == min(length, num_tokens), "no window is shorter than it may"
    starts = [part.start for part in parts]
    assert all(0 < after - before <= stride for before, after in pairwise(starts))


@given(st.integers(1, 60), st.integers(2, 25), st.booleans())
def test_context_of_what_is_asked(num_tokens: int, length: int, both_sides: bool) -> None:
    """At least a length less a stride of it: all on the left, or as much on either side."""
    stride = max(1, length // 2)
    for part in windows(0, num_tokens, length=length, stride=stride, both_sides=both_sides):
        for place in range(part.first, part.last):
            left, right = place - part.start, part.stop - 1 - place
            if both_sides:
                assert part.start == 0 or left >= (length - stride) // 2
                assert part.stop == num_tokens or right >= (length - stride) // 2
            else:
                assert part.start == 0 or left >= length - stride


def test_windows_as_rows(vocab: Vocab) -> None:
    """The second begins inside a word, which counts as a word of its own there."""
    document = Encoded(
        ids=np.arange(10, 17, dtype=np.int32),
        bytes=np.ones(7, dtype=np.int32),
        starts_word=np.array([True, False, True, False, False, True, True]),
    )
    parts = list(windows(0, 7, length=4, stride=3, both_sides=False))
    short = Window(document=0, start=0, stop=2, first=1, last=2)
    text, asked = stack([*parts, short], [document], vocab)
    assert text.tokens.tolist() == [[1, 10, 11, 12, 13], [1, 13, 14, 15, 16], [1, 10, 11, 0, 0]]
    assert text.word[:2].tolist() == [[0, 1, 1, 2, 2], [0, 1, 1, 2, 3]]
    assert text.visible.tolist() == [[True] * 5, [True] * 5, [True] * 3 + [False] * 2]
    assert [row.nonzero().flatten().tolist() for row in asked] == [[1, 2, 3, 4], [2, 3, 4], [2]]
