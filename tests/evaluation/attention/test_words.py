"""From tokens to words: what goes to a split-up word is added up, what comes from it averaged."""

import torch

from lmcompare.evaluation.attention.words import (
    between_words,
    candidates,
    membership,
    most_attended,
)
from lmcompare.view import View

# the start token, "un" "believ" "able", "cat", "sl" "ept"
SPANS = [[(1, 4), (4, 5), (5, 7)]]


def seen(*, causal: bool, length: int = 7) -> torch.Tensor:
    make = View.causal if causal else View.bidirectional
    tokens = torch.zeros(1, length, dtype=torch.long)
    return make(tokens, visible=torch.ones_like(tokens, dtype=torch.bool)).sees()


def test_sums_to_words_and_means_from_them() -> None:
    weights = torch.tensor(
        [
            [1.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],
            [0.10, 0.10, 0.10, 0.10, 0.40, 0.10, 0.10],
            [0.00, 0.00, 0.00, 0.20, 0.10, 0.30, 0.40],
            [0.20, 0.20, 0.20, 0.10, 0.10, 0.10, 0.10],
            [0.10, 0.20, 0.15, 0.05, 0.20, 0.25, 0.05],
            [0.50, 0.10, 0.10, 0.10, 0.10, 0.05, 0.05],
            [0.10, 0.00, 0.00, 0.30, 0.40, 0.10, 0.10],
        ]
    )[None, None]
    found = between_words(weights, membership(SPANS, 7))
    expected = torch.tensor(
        [
            [(0.3 + 0.2 + 0.5) / 3, (0.4 + 0.1 + 0.1) / 3, (0.2 + 0.7 + 0.2) / 3],
            [0.40, 0.20, 0.30],
            [(0.3 + 0.3) / 2, (0.1 + 0.4) / 2, (0.1 + 0.2) / 2],
        ]
    )
    torch.testing.assert_close(found[0, 0], expected)
    candidate = candidates(seen(causal=False), membership(SPANS, 7))
    assert most_attended(found, candidate).tolist() == [[[2, 0, 0]]]


def test_no_word_is_its_own_candidate_and_a_causal_one_sees_the_left_alone() -> None:
    belongs = membership(SPANS, 7)
    both = candidates(seen(causal=False), belongs)[0]
    assert torch.equal(both, ~torch.eye(3, dtype=torch.bool))
    left = candidates(seen(causal=True), belongs)[0]
    assert torch.equal(left, torch.ones(3, 3).tril(-1).bool())


def test_words_that_share_a_token_are_no_candidates_of_each_other() -> None:
    belongs = membership([[(1, 3), (2, 4), (4, 5)]], 5)
    assert candidates(seen(causal=False, length=5), belongs)[0].tolist() == [
        [False, False, True],
        [False, False, True],
        [True, True, False],
    ]


def test_words_that_are_not_read_are_no_candidates() -> None:
    belongs = membership([[(1, 2), (0, 0), (2, 3)], [(1, 3)]], 3)
    found = candidates(seen(causal=False, length=3).expand(2, -1, -1), belongs)
    assert found.sum((1, 2)).tolist() == [2, 0]
    assert found[0, 0].tolist() == [False, False, True]


def test_a_word_that_attends_to_no_candidate_is_left_with_itself() -> None:
    weights = torch.zeros(1, 1, 7, 7)
    weights[..., 0] = 0.25
    weights[0, 0, 5:, 5:] = 0.375
    weights[0, 0, 1:4, 4] = 0.75
    belongs = membership(SPANS, 7)
    candidate = candidates(seen(causal=False), belongs)
    assert most_attended(between_words(weights, belongs), candidate).tolist() == [[[1, 1, 2]]]
