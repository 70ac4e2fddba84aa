"""Facts about the scores that several objectives share."""

from dataclasses import replace

import pytest
import torch

from lmcompare.errors import Unsupported
from lmcompare.model import Backbone
from lmcompare.objectives import (
    OBJECTIVES,
    Clm,
    Mlm,
    Mntp,
    Objective,
    Prefix,
    parse_objective,
)
from lmcompare.objectives.scoring import passes
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.conftest import make_net, plain_text
from tests.objectives.cases import (
    Spy,
    asked_at,
    logits,
    numbered,
    shift_of,
    small_net,
    small_world,
    strings,
    total_by_rest,
    vocab_of,
)

LEFT_TO_RIGHT = [Clm(), Prefix(), Mntp(direction="left")]
MASKED = [Mlm(), Mntp()]


@pytest.fixture(params=LEFT_TO_RIGHT, ids=repr)
def reader(request: pytest.FixtureRequest) -> Objective:
    """A model that reads from left to right."""
    return request.param


@pytest.fixture(params=MASKED, ids=repr)
def masked(request: pytest.FixtureRequest) -> Objective:
    """A model that reads both sides."""
    return request.param


@pytest.mark.parametrize("name", OBJECTIVES)
def test_scores_are_float32_and_no_probability_exceeds_one(
    text: Text, vocab: Vocab, name: str
) -> None:
    objective = parse_objective(name)
    net = make_net(vocab, encodes=objective.encodes)
    for how in objective.scorings:
        scores = objective.score(net, text, vocab, asked_at(text, 7), scoring=how)
        assert scores.dtype == torch.float32
        assert (scores <= 0).all()
        assert not scores.requires_grad


@pytest.mark.parametrize("name", OBJECTIVES)
def test_nothing_asked_is_nothing_scored(text: Text, vocab: Vocab, name: str) -> None:
    objective = parse_objective(name)
    net = make_net(vocab, encodes=objective.encodes)
    for how in objective.scorings:
        asked = torch.zeros_like(text.visible)
        assert (objective.score(net, text, vocab, asked, scoring=how) == 0).all()
        asked[0, 0] = asked[0, text.tokens.shape[1] // 2] = asked[1, -1] = True
        scores = objective.score(net, text, vocab, asked, scoring=how)
        assert (scores == 0).all(), "start and end tokens and padding have no score, asked or not"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_how_many_go_through_at_once_changes_nothing(
    text: Text, vocab: Vocab, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = parse_objective(name)
    net = make_net(vocab, encodes=objective.encodes)
    asked = asked_at(text, 7)
    for how in objective.scorings:
        before = objective.score(net, text, vocab, asked, scoring=how)
        with monkeypatch.context() as patch:
            patch.setattr(passes, "TOKENS_AT_ONCE", 3 * text.tokens.shape[1] + 1)
            after = objective.score(net, text, vocab, asked, scoring=how)
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def by_hand(reader: Objective, net: Backbone, text: Text, vocab: Vocab, place: int) -> torch.Tensor:
    """The probability of each row's token among all rows that differ in it alone: p(row)/sum."""
    out = []
    for row in range(len(text.tokens)):
        num = int(text.visible[row].sum())
        totals = []
        for candidate in vocab.regular.tolist():
            tokens = text.tokens[row : row + 1, :num].clone()
            tokens[0, place] = candidate
            changed = plain_text(tokens, word=text.word[row : row + 1, :num])
            rest = torch.zeros_like(changed.visible)
            rest[:, place:] = True  # what stands before is the prefix
            totals.append(reader.score(net, changed, vocab, rest).double().sum())
        truth = vocab.regular.tolist().index(int(text.tokens[row, place]))
        out.append(torch.stack(totals).log_softmax(0)[truth])
    return torch.stack(out).float()


def test_a_token_given_both_sides_by_bayes(
    text: Text, vocab: Vocab, net: Backbone, reader: Objective
) -> None:
    """Of a model that reads from left to right: by its probability of each changed row."""
    text = text.rows(torch.tensor([1]))  # which is padded
    found = reader.score(net, text, vocab, asked_at(text, 7), scoring="renormalised")
    expected = by_hand(reader, net, text, vocab, 7)
    torch.testing.assert_close(found[:, 7], expected, rtol=1e-4, atol=1e-4)
    assert (found.sum(1) == found[:, 7]).all()


def test_renormalised_tokens_add_up_to_one(reader: Objective) -> None:
    """Over the candidates, given both sides; a causal score adds up given the left side only."""
    world = small_world(3)
    text, net = strings(world, length=3), small_net(world)
    asked = asked_at(text, 2)
    scores = reader.score(net, text, world, asked, scoring="renormalised")
    totals = total_by_rest(text, asked, scores)
    assert len(totals) == 9
    assert list(totals.values()) == pytest.approx([1.0] * 9, abs=1e-5)


def test_one_token_of_a_row_is_renormalised(reader: Objective, text: Text, vocab: Vocab) -> None:
    spy = Spy()
    with pytest.raises(Unsupported, match="one token of a text at a time"):
        reader.score(spy, text, vocab, asked_at(text, 7, 8), scoring="renormalised")
    each = torch.eye(text.tokens.shape[1], dtype=torch.bool)[6:11]
    reader.score(spy, text, vocab, each, scoring="renormalised")


def test_candidates_are_the_words_of_the_vocabulary(vocab: Vocab, reader: Objective) -> None:
    spy, text = Spy(), numbered(vocab, rows=1, length=23)
    reader.score(spy, text, vocab, asked_at(text, 7), scoring="renormalised")
    assert torch.equal(torch.cat([view.tokens[:, 7] for view in spy.views]), vocab.regular)


def test_holes_are_a_product_of_marginals(masked: Objective, text: Text, vocab: Vocab) -> None:
    """All are hidden at once, and each predicted by itself from one view."""
    net, places = make_net(vocab), (3, 4, 9)
    asked = asked_at(text, *places)
    found = masked.score(net, text, vocab, asked, scoring="joint")
    hidden = View.bidirectional(text.tokens.masked_fill(asked, vocab.mask), visible=text.visible)
    log_prob = logits(net, hidden).log_softmax(2)
    shift = shift_of(masked)
    for place in places:
        expected = log_prob[:, place - shift].gather(1, text.tokens[:, place, None])[:, 0]
        torch.testing.assert_close(found[:, place], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("places", [(1, 2, 3), (1, 3), (2,)])
def test_holes_of_a_small_world_add_up_to_one(masked: Objective, places: tuple[int, ...]) -> None:
    world = small_world()
    text, net = strings(world, length=3), small_net(small_world())
    asked = asked_at(text, *places)
    totals = total_by_rest(text, asked, masked.score(net, text, world, asked, scoring="joint"))
    assert len(totals) == 5 ** (3 - len(places))
    assert list(totals.values()) == pytest.approx([1.0] * len(totals), abs=1e-5)


@pytest.mark.parametrize("rest_of_word", [False, True])
def test_one_by_one_is_what_hiding_by_hand_gives(
    masked: Objective, text: Text, vocab: Vocab, rest_of_word: bool
) -> None:
    net, how = make_net(vocab), "pll-word" if rest_of_word else "pll"
    text = text.rows(torch.tensor([2]))
    length = text.tokens.shape[1]
    found = masked.score(net, text, vocab, torch.ones_like(text.visible), scoring=how)
    shift = shift_of(masked)
    for place in range(1, length):
        hidden = [
            other == place
            or (rest_of_word and other > place and text.word[0, other] == text.word[0, place])
            for other in range(length)
        ]
        tokens = text.tokens.masked_fill(torch.tensor([hidden]), vocab.mask)
        view = View.bidirectional(tokens, visible=text.visible)
        log_prob = logits(net, view)[0, place - shift].log_softmax(0)
        torch.testing.assert_close(
            found[0, place], log_prob[text.tokens[0, place]], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_given_is_what_matters(name: str) -> None:
    """A score given the left side is none of the right's business, and one given both sides is."""
    objective, vocab = parse_objective(name), vocab_of(31, num_sentinels=17)
    net = make_net(vocab, encodes=objective.encodes)
    text = numbered(vocab, rows=1, length=12)
    asked = asked_at(text, 6)
    for how, facts in objective.scorings.items():
        if facts.sampled:
            continue  # draws depend on the whole text
        before = objective.score(net, text, vocab, asked, scoring=how)[0, 6]
        for place in (1, 5, 7, 11):
            tokens = text.tokens.clone()
            tokens[0, place] = vocab.regular[-1]
            changed = replace(text, tokens=tokens)
            after = objective.score(net, changed, vocab, asked, scoring=how)[0, 6]
            assert (after != before) == (place < 6 or facts.given == "both")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_usual_scoring_of_a_question_answers_it(name: str) -> None:
    objective = parse_objective(name)
    for question in ("text", "holes", "continuation"):
        answers = [how for how, facts in objective.scorings.items() if question in facts.answers]
        if answers:
            assert objective.choose_scoring(None, question) == answers[0]
        else:
            with pytest.raises(Unsupported, match=f"gives no likelihood of a {question}"):
                objective.choose_scoring(None, question)
    with pytest.raises(Unsupported, match=f"{name} cannot be scored by 'nonsense'"):
        objective.choose_scoring("nonsense")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_targets_of_a_score_are_what_is_asked(name: str) -> None:
    """Nothing more of the text is predicted than was asked for."""
    objective, vocab = parse_objective(name), vocab_of(31)
    spy, text = Spy(), numbered(vocab, rows=2, length=12)
    asked = asked_at(text, 4)
    for how, facts in objective.scorings.items():
        if facts.protocol == "surest-first":
            continue  # looks at every word to choose
        spy.views.clear()
        objective.score(spy, text, vocab, asked, scoring=how)
        words = set()
        for view in spy.views:
            words |= set(view.target[view.target != IGNORE].tolist()) - vocab.specials
        # renormalised, a row is asked for from the hole on, with each word in it
        expected = (
            set(vocab.regular.tolist()) if how == "renormalised" else {int(text.tokens[0, 4])}
        )
        if (name, how) == ("bart", "with-ends"):  # a hole ends where what follows it is written
            expected = set(text.tokens[0, 4:].tolist())
        assert words == expected
