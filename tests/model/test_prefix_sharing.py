"""Rows that begin alike, computed once."""

from dataclasses import replace

import pytest
import torch

from lmcompare.model import Backbone, attention, prefix_sharing
from lmcompare.model.prefix_sharing import PrefixSharing
from lmcompare.view import IGNORE, View
from tests.conftest import SIZE, values
from tests.model.views import KINDS, make_view, with_source

LENGTH = 9


def rows(seed: int, *, num_rows: int = 40, kinds: int = 3, tidy: bool = True) -> View:
    """Rows of few kinds of tokens and of unlike lengths, so that many begin alike."""
    draws = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, 5 + kinds, (num_rows, LENGTH), generator=draws)
    tokens[:, 0] = 1
    size = torch.randint(1, LENGTH + 1, (num_rows,), generator=draws)
    visible = torch.arange(LENGTH) < size[:, None]
    tokens = tokens.masked_fill(~visible, 0)
    if tidy:
        order = sorted(range(num_rows), key=lambda row: tokens[row].tolist())
        tokens, visible = tokens[order], visible[order]
    targets = torch.randint(5, 5 + kinds, tokens.shape, generator=draws)
    asked = visible & (torch.rand(tokens.shape, generator=draws) < 0.7)
    target = targets.where(asked, IGNORE)
    return View.causal(tokens, visible=visible).predicting(target, asked.float())


@pytest.mark.parametrize("seed", values(*range(6), slow=range(6, 20)))
@pytest.mark.parametrize("tidy", [True, False])
@pytest.mark.parametrize("by_hand", [True, False])
def test_scores_are_those_of_rows_computed_one_by_one(
    seed: int, tidy: bool, by_hand: bool, net: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "pays_by_hand", lambda _: by_hand)
    monkeypatch.setattr(prefix_sharing, "WORTH_IT", 1)
    view = rows(seed, tidy=tidy)
    assert PrefixSharing.of(view) is not None
    alone = [net.log_prob(view.rows(slice(row, row + 1))) for row in range(len(view.tokens))]
    expected = torch.zeros(view.tokens.shape)
    for row, each in enumerate(alone):
        expected[row, : each.shape[1]] = each
    torch.testing.assert_close(net.log_prob(view), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_each_beginning_of_sorted_rows_is_computed_once(seed: int) -> None:
    view = rows(seed)
    needed = [
        row[: 1 + int(asked.nonzero().max())].tolist() if asked.any() else []
        for row, asked in zip(view.tokens, view.target != IGNORE, strict=True)
    ]
    every = {tuple(row[:stop]) for row in needed for stop in range(1, 1 + len(row))}
    shared = PrefixSharing.of(view)
    assert shared is not None
    assert len(shared.computed) == len(every)
    # whose states a position has begins as the position does
    for row, tokens in enumerate(needed):
        for place in range(len(tokens)):
            other, same_place = divmod(int(shared.computed[shared.node[row, place]]), LENGTH)
            assert same_place == place
            assert needed[other][: place + 1] == tokens[: place + 1]
    questions, _ = shared.questions(view)
    asked = {
        (tuple(tokens[: place + 1]), int(view.target[row, place]))
        for row, tokens in enumerate(needed)
        for place in range(len(tokens))
        if view.target[row, place] != IGNORE
    }
    assert len(asked) <= int(questions.sum()) <= int((view.target != IGNORE).sum())


def test_the_same_text_twice_is_scored_once(net: Backbone) -> None:
    view = rows(3, num_rows=1).rows(torch.tensor([0, 0, 0]))
    shared = PrefixSharing.of(view)
    assert shared is not None
    assert len(shared.computed) == 1 + int((view.target[0] != IGNORE).nonzero().max())
    assert int(shared.questions(view)[0].sum()) == int((view.target[0] != IGNORE).sum())
    scores = net.log_prob(view)
    assert scores[0].abs().max() > 0
    assert torch.equal(scores, scores[:1].expand_as(scores))


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_sees_more_than_its_left_shares_nothing(kind: str) -> None:
    view = make_view(kind, length=23, size=SIZE)
    view = view.predicting(view.target.masked_fill(~view.visible, IGNORE), view.weight)
    same = view.rows(torch.zeros(4, dtype=torch.long))
    assert (PrefixSharing.of(same) is not None) == (same.hint == "causal")
    assert PrefixSharing.of(with_source(same)) is None


def test_rows_that_stand_elsewhere_share_nothing() -> None:
    view = rows(3)
    assert PrefixSharing.of(view) is not None
    moved = view.position + torch.arange(len(view.tokens))[:, None]
    assert PrefixSharing.of(replace(view, position=moved)) is None
    unseen = replace(view, target=view.target.where(view.visible, 7))
    assert PrefixSharing.of(unseen) is None, "what a row of padding predicts is nobody's beginning"


def test_rows_that_share_little_are_computed_whole() -> None:
    full = make_view("causal", length=23, size=SIZE)
    assert PrefixSharing.of(full) is None
