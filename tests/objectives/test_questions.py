"""The two forms of the hidden-token question are distributions, over all that could stand there."""

import itertools
import math

import pytest
import torch

from lmcompare.errors import Unsupported
from lmcompare.model import Backbone
from lmcompare.objectives import (
    OBJECTIVES,
    T5,
    Bart,
    Clm,
    Fim,
    Glm,
    Mdlm,
    Mlm,
    Mntp,
    Objective,
    Plm,
    Ul2,
    parse_objective,
)
from lmcompare.view import View
from lmcompare.vocab import Candidates, Vocab
from tests.conftest import make_net, plain_text, values
from tests.objectives.cases import (
    asked_at,
    logits,
    shift_of,
    small_net,
    small_world,
    strings,
    total_by_rest,
    vocab_of,
)
from tests.objectives.worlds import PIECES, WORDS, A, B, C, Hole, free_law, reads, restless_net

SPANS = [T5(), T5(architecture="decoder"), Glm(), Ul2(), Fim()]
TOLD = [
    (name, scoring)
    for name in OBJECTIVES
    for scoring, how in parse_objective(name).scorings.items()
    if "holes" in how.answers and (how.form, how.likelihood) == ("told", "exact")
]


def text_of(*holes: Hole) -> tuple[list[int], tuple[int, ...]]:
    """The pieces with these between them, the last pieces joined; and where the holes are."""
    tokens, places = [WORDS.bos, *PIECES[0]], list[int]()
    for number, piece in enumerate(PIECES[1:]):
        if number < len(holes):
            places += range(len(tokens), len(tokens) + len(holes[number]))
            tokens += holes[number]
        tokens += piece
    return tokens, tuple(places)


def chance(objective: Objective, net: Backbone, *holes: Hole, scoring: str) -> float:
    tokens, places = text_of(*holes)
    text = plain_text(torch.tensor([tokens]), word=torch.arange(len(tokens))[None])
    asked = asked_at(text, *places)
    scores = objective.score(net, text, WORDS, asked, scoring=scoring)
    assert (scores[~asked] == 0).all()
    return float(scores.double().sum().exp())


def decoding_methods(length: int) -> list[Hole]:
    return [*itertools.product((A, B, C), repeat=length)]


# the lengths are told


@pytest.mark.parametrize(("name", "scoring"), TOLD)
def test_all_that_is_as_long_adds_up_to_one(name: str, scoring: str) -> None:
    """One token, two side by side, and two apart."""
    objective = parse_objective(name)
    for places in ((2,), (2, 3), (1, 3)):
        if objective.scorings[scoring].given == "left":
            continue  # adds up given the left side, which other tests show
        if "with-ends" in objective.scorings:  # its marks are no words
            net = restless_net(WORDS, encodes=objective.encodes)
            rows = torch.tensor([[WORDS.bos, A, B, C, B]]).repeat(3 ** len(places), 1)
            rows[:, list(places)] = torch.tensor(decoding_methods(len(places)))
            vocab, text = WORDS, plain_text(rows, word=torch.arange(5).repeat(len(rows), 1))
        else:
            vocab = small_world(3)
            net, text = small_net(vocab), strings(vocab, length=4)
        asked = asked_at(text, *places)
        try:
            scores = objective.score(net, text, vocab, asked, scoring=scoring)
        except Unsupported:
            assert len(places) > 1
            continue
        totals = [*total_by_rest(text, asked, scores).values()]
        assert totals == pytest.approx([1.0] * len(totals), abs=1e-5)


@pytest.mark.parametrize("objective", [Mlm(), Mntp(), Mdlm()], ids=lambda given: given.name)
def test_one_after_another_each_sees_those_before_it(objective: Objective, vocab: Vocab) -> None:
    """In the order of the text, and the surest first; step by step, by hand."""
    net, shift = make_net(vocab), shift_of(objective)
    text = strings(small_world(3), length=11).rows(torch.tensor([1234]))
    tokens = vocab.regular[text.tokens]
    tokens[:, 0] = vocab.bos
    text = plain_text(tokens, word=torch.arange(12)[None])
    places = [2, 3, 7, 10]
    asked = asked_at(text, *places)

    def law(left: list[int]) -> torch.Tensor:
        hidden = asked_at(text, *left)
        view = View.bidirectional(tokens.masked_fill(hidden, vocab.mask), visible=text.visible)
        return logits(net, view)[0].roll(shift, dims=0).log_softmax(1)

    for scoring in ("left-to-right", "surest-first"):
        left, expected, order = [*places], torch.zeros(12), list[int]()
        while left:
            log_prob = law(left)
            sure = {place: float(log_prob[place, vocab.regular].max()) for place in left}
            place = min(left) if scoring == "left-to-right" else max(left, key=sure.__getitem__)
            expected[place] = log_prob[place, tokens[0, place]]
            left.remove(place)
            order.append(place)
        found = objective.score(net, text, vocab, asked, scoring=scoring)[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert (order == sorted(order)) == (scoring == "left-to-right"), "else it shows nothing"


def test_over_one_token_there_is_nothing_to_bound() -> None:
    """Nor to draw: all ways to ask a masked model for it are one."""
    vocab = vocab_of(29)
    net, text = (
        make_net(vocab),
        plain_text(
            torch.tensor([[vocab.bos, *vocab.regular[:6].tolist()]]), word=torch.arange(7)[None]
        ),
    )
    for objective in (Mdlm(), Plm()):
        for how in objective.scorings.values():
            assert how.likelihood_of(1) == "exact"
        bounds = [how for how in objective.scorings.values() if how.likelihood == "bound"]
        assert [how.likelihood_of(2) for how in bounds] == ["bound"]
        found = [
            objective.score(net, text, vocab, asked_at(text, 4), scoring=scoring, replicate=seed)
            for scoring in objective.scorings
            for seed in (0, 1)
        ]
        for each in found[1:]:
            torch.testing.assert_close(each, found[0])
    assert {how.likelihood_of(1) for how in Mlm().scorings.values()} == {"exact", "pseudo"}


# no length is told


@pytest.mark.parametrize("objective", SPANS, ids=repr)
def test_a_hole_with_its_end_is_as_probable_as_that_it_is_written(objective: Objective) -> None:
    """Over all lengths that is a distribution: what is left has no end yet, ever less of it."""
    net = restless_net(WORDS, encodes=objective.encodes)
    unended = []
    for limit in (1, 2, 3):
        law = free_law(objective, net, 1, limit=limit)
        assert sum(law.values()) == pytest.approx(1)
        unended.append(sum(each for (hole,), each in law.items() if len(hole) == limit))
        ended = 0.0
        for hole in [hole for length in range(1, limit) for hole in decoding_methods(length)]:
            found = chance(objective, net, hole, scoring="with-ends")
            assert found == pytest.approx(law[(hole,)], rel=1e-4)
            ended += found
        assert law[((),)] + ended + unended[-1] == pytest.approx(1, abs=1e-5)
    assert unended == sorted(unended, reverse=True)
    assert unended[-1] < 0.7


@pytest.mark.parametrize("objective", values(*SPANS[1:2], slow=[*SPANS[:1], *SPANS[2:4]]), ids=repr)
def test_each_of_several_holes_has_its_end(objective: Objective) -> None:
    net = restless_net(WORDS, encodes=objective.encodes)
    law = free_law(objective, net, 2, limit=3)
    for holes in [((A,), (B,)), ((C, A), (B,)), ((B,), (C, C))]:
        found = chance(objective, net, *holes, scoring="with-ends")
        assert found == pytest.approx(law[holes], rel=1e-4)


@pytest.mark.parametrize("architecture", ["encoder-decoder", "decoder"])
def test_bart_says_where_a_hole_ends_by_writing_what_follows(architecture: str) -> None:
    objective = Bart(architecture=architecture)
    net = restless_net(WORDS, encodes=objective.encodes)
    total = 0.0
    for hole in [*decoding_methods(1), *decoding_methods(2)]:
        path = [*hole, *PIECES[1], *PIECES[2], WORDS.eos]
        expected = 1.0
        for number, token in enumerate(path):
            view = reads(objective, 1, [tuple(path[:number])])
            wanted = torch.zeros_like(view.visible)
            wanted[:, -1] = True
            ids = [A, B, C, WORDS.eos]
            share = net.logits(view, wanted)[0].double()[ids].softmax(0)
            expected *= float(share[ids.index(token)])
        found = chance(objective, net, hole, scoring="with-ends")
        assert found == pytest.approx(expected, rel=1e-3)
        total += found
    assert 0 < total < 1
    with pytest.raises(Unsupported, match="bart writes all that follows a hole anew"):
        chance(objective, net, (A,), (B,), scoring="with-ends")


def test_ends_are_one_choice_among_the_words() -> None:
    """Whichever of them it is, and whatever else is likely."""
    logit = torch.tensor([[5.0, 1.0, 2.0, 0.5, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    candidates = Candidates(torch.tensor([1, 2]), ends=(3, 4))
    for target, expected in ((1, [1.0, 0.0]), (3, None), (4, None)):
        narrow, which = candidates.narrow(logit, torch.tensor([target, target]))
        found = narrow.log_softmax(1).gather(1, which[:, None])[:, 0]
        ends = torch.tensor([math.log(math.exp(0.5) + math.exp(3.0)), math.log(2)])
        wanted = ends if expected is None else torch.tensor(expected)
        total = torch.logaddexp(logit[:, 1:3].logsumexp(1), ends)
        torch.testing.assert_close(found, wanted - total)


# what training covers


@pytest.mark.parametrize(
    ("objective", "scoring", "half", "text"),
    [
        (Clm(), "causal", True, True),
        (Mdlm(), "bound", True, True),
        (Mlm(), "pll", True, True),
        (Mlm(), "left-to-right", False, False),
        (Mlm(rate=0.15, final_rate=0.5), "joint", True, False),
        (Plm(), "left-to-right", False, False),
        (Plm(rate=1.0), "left-to-right", True, True),
        (Plm(rate=1.0), "orders", True, True),
        (T5(), "given-length", False, False),
        (T5(rate=0.5), "given-length", True, False),
        (Glm(), "with-ends", False, False),
        (Bart(), "given-length", False, False),
        (Ul2(), "given-length", True, True),
        (Ul2(s=0), "given-length", True, False),
        (Ul2(s=0, x=0), "given-length", False, False),
        (Fim(), "causal", True, True),
        (Fim(rate=1.0), "causal", False, False),
        (Fim(rate=0.0), "with-ends", False, False),
    ],
    ids=repr,
)
def test_what_training_never_hid_is_new(
    objective: Objective, scoring: str, half: bool, text: bool
) -> None:
    how = objective.scorings[scoring]
    assert (not how.is_new(0.5), not how.is_new(1.0)) == (half, text)
    assert how.is_new(0.15) == (how.hides == 0), "all that hide anything hide as much"
