"""Ways to fill masks: their laws in small worlds, and how many passes they take."""

import math
from collections import defaultdict
from functools import cache
from itertools import combinations, permutations, product

import pytest
import torch

from lmcompare.model import Backbone
from lmcompare.objectives import Mdlm, Mlm, Mntp, Objective
from lmcompare.objectives.decoding.fill_request import DecodeStep, FillResult
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.view import View
from tests.conftest import plain_text
from tests.laws import assert_follows
from tests.objectives.cases import shift_of, small_world
from tests.objectives.worlds import draw, law_of, pairs_of, restless_net

WORLD, FEW = small_world(4), small_world(3)
TOKENS = [0, 2, 1, 3, 2, 1]
PLACES = (2, 3, 5)
Filled = tuple[int, ...]


@cache
def _given(net: Backbone, filled: frozenset[tuple[int, int]]) -> torch.Tensor:
    tokens = torch.tensor([TOKENS])
    for place in PLACES:
        tokens[0, place] = dict(filled).get(place, WORLD.mask)
    seen = torch.ones_like(tokens, dtype=torch.bool)
    return net.logits(View.bidirectional(tokens, visible=seen), seen).double().softmax(1)


def given(net: Backbone, filled: dict[int, int], *, shift: int = 0) -> torch.Tensor:
    """The law of each place's token, those holes being masked that are not yet filled; T V."""
    return _given(net, frozenset(filled.items())).roll(shift, dims=0)


def along(net: Backbone, turns: list[tuple[int, ...]]) -> dict[Filled, float]:
    """The law of what is filled in this order, those of one turn at once."""
    law = {}
    for tokens in product(range(WORLD.size), repeat=len(PLACES)):
        wanted = dict(zip(PLACES, tokens, strict=True))
        filled: dict[int, int] = {}
        chance = 1.0
        for turn in turns:
            conditional = given(net, filled)
            for place in turn:
                chance *= float(conditional[place, wanted[place]])
            filled |= {place: wanted[place] for place in turn}
        law[tokens] = chance
    return law


def mixture(laws: list[tuple[float, dict[Filled, float]]]) -> dict[Filled, float]:
    return {filled: sum(share * law[filled] for share, law in laws) for filled in laws[0][1]}


def drawn(objective: Objective, net: Backbone, method: str, **settings) -> list[Filled]:
    sampler = Sampler(**settings)
    written = draw(objective, net, WORLD, TOKENS, PLACES, method=method, sampler=sampler)
    pairs = pairs_of(written)
    assert all(tuple(place for place, _ in row) == PLACES for row in pairs)
    return [tuple(token for _, token in row) for row in pairs]


def test_one_token_a_pass_has_the_mean_law_of_all_orders() -> None:
    net = restless_net(WORLD, seed=10)
    laws = [(1 / 6, along(net, [(place,) for place in order])) for order in permutations(PLACES)]
    ends = [law for _, law in laws]
    assert max(abs(ends[0][each] - ends[5][each]) for each in ends[0]) > 0.01, "orders matter"
    assert_follows(drawn(Mdlm(), net, "ancestral"), mixture(laws))


def test_in_few_steps_each_token_comes_in_one_of_them() -> None:
    """In two: each in the first with probability 1/2, and those of a step at once."""
    net, laws = restless_net(WORLD, seed=10), []
    for size in range(len(PLACES) + 1):
        for first in combinations(PLACES, size):
            rest = tuple(place for place in PLACES if place not in first)
            laws.append((1 / 8, along(net, [first, rest])))
    assert_follows(drawn(Mdlm(), net, "ancestral", steps=2), mixture(laws))


def test_at_once_each_token_is_drawn_by_itself() -> None:
    net = restless_net(WORLD, seed=10)
    law = along(net, [PLACES])
    for method, settings in [
        ("ancestral", {"steps": 1}),
        ("surest-first", {"steps": 1}),
        ("threshold", {"threshold": 1e-9}),
        ("entropy", {"entropy": 1e9}),
        ("mask-predict", {"steps": 1}),
    ]:
        assert_follows(drawn(Mlm(), net, method, **settings), law)


def test_blocks_are_filled_from_the_left() -> None:
    """Of two tokens each: those of the first in both orders, then the last one."""
    net = restless_net(WORLD, seed=10)
    orders = [[(2,), (3,), (5,)], [(3,), (2,), (5,)]]
    law = mixture([(1 / 2, along(net, order)) for order in orders])
    assert_follows(drawn(Mdlm(), net, "ancestral", block=2), law)
    together = along(net, [(2, 3), (5,)])
    assert_follows(drawn(Mdlm(), net, "ancestral", block=2, steps=2), together)


def test_blocks_share_the_steps() -> None:
    """Four for two blocks: each token comes in the first or in the second one of its block."""
    net = restless_net(WORLD, seed=10)
    orders = [[(2,), (3,), (5,)], [(3,), (2,), (5,)], [(2, 3), (5,)]]
    law = mixture(
        [
            (share, along(net, order))
            for share, order in zip((1 / 4, 1 / 4, 1 / 2), orders, strict=True)
        ]
    )
    assert_follows(drawn(Mdlm(), net, "ancestral", block=2, steps=4), law)


def test_the_temperature_is_one_of_each_prediction() -> None:
    net = restless_net(WORLD, seed=10)
    law = {}
    for place, conditional in ((place, given(net, {})[place]) for place in PLACES):
        law[place] = conditional.log().div(0.5).softmax(0)
    joint = {
        filled: math.prod(
            float(law[place][token]) for place, token in zip(PLACES, filled, strict=True)
        )
        for filled in product(range(WORLD.size), repeat=len(PLACES))
    }
    assert_follows(drawn(Mdlm(), net, "ancestral", steps=1, temperature=0.5), joint)


@pytest.mark.parametrize("objective", [Mlm(), Mdlm(), Mntp()], ids=lambda given: given.name)
def test_from_left_to_right_it_is_the_law_along_that_order(objective: Objective) -> None:
    """For mntp, each token is predicted at the place before its own."""
    net, shift = restless_net(WORLD, seed=10), shift_of(objective)
    law = {}
    for filled in product(range(WORLD.size), repeat=len(PLACES)):
        wanted = dict(zip(PLACES, filled, strict=True))
        law[filled] = math.prod(
            float(
                given(net, {k: v for k, v in wanted.items() if k < place}, shift=shift)[
                    place, token
                ]
            )
            for place, token in wanted.items()
        )
    scored = law_of(objective, net, WORLD, TOKENS, PLACES, "left-to-right")
    assert law == pytest.approx(scored, rel=1e-4, abs=1e-7)
    assert_follows(drawn(objective, net, "left-to-right"), law)


def trace(
    objective: Objective, net: Backbone, method: str, **settings
) -> tuple[FillResult, list[DecodeStep]]:
    """Of draws in the small world, what was written and each step of it."""
    steps: list[DecodeStep] = []
    sampler = Sampler(**settings)
    written = draw(
        objective,
        net,
        WORLD,
        TOKENS,
        PLACES,
        method=method,
        sampler=sampler,
        on_step=steps.append,
    )
    return written, steps


@pytest.mark.parametrize("objective", [Mlm(), Mntp()], ids=lambda given: given.name)
def test_what_a_chain_draws_last_has_the_law_given_the_rest(objective: Objective) -> None:
    net, shift = restless_net(WORLD, seed=10), shift_of(objective)
    written, steps = trace(objective, net, "gibbs", steps=1)
    assert len(steps) == 1 + len(PLACES), "all at once, and then each again"
    assert sorted(zip(steps[0].row.tolist(), steps[0].index.tolist(), strict=True)) == [
        (row, place) for row in range(len(written.token)) for place in PLACES
    ]
    rounds = torch.stack([step.index[step.row.argsort()] for step in steps[1:]])
    assert (rounds.sort(0).values == torch.tensor(PLACES)[:, None]).all(), "each once a round"
    turns = [tuple(each) for each in rounds.T.tolist()]
    assert_follows(turns, dict.fromkeys(permutations(PLACES), 1 / 6))
    groups: dict[tuple, list[int]] = defaultdict(list)
    for place, token, row in zip(
        steps[-1].index.tolist(),
        steps[-1].token.tolist(),
        steps[-1].row.tolist(),
        strict=True,
    ):
        rest = tuple((p, int(written.token[row, p])) for p in PLACES if p != place)
        assert token == int(written.token[row, place])
        groups[place, rest].append(token)
    for (place, rest), tokens in sorted(groups.items(), key=lambda each: -len(each[1]))[:5]:
        law = given(net, dict(rest), shift=shift)[place]
        assert_follows(tokens, dict(enumerate(law.tolist())))


def pseudo_likelihood(objective: Objective, net: Backbone) -> dict[Filled, float]:
    """Its exponential over all texts that differ in the holes, normalised."""
    decoding_methods = [*product(range(FEW.size), repeat=2)]
    rows = torch.tensor([[0, *filled, 2] for filled in decoding_methods])
    text = plain_text(rows, word=torch.arange(4).repeat(len(decoding_methods), 1))
    scores = objective.score(net, text, FEW, text.visible, scoring="pll").double().sum(1)
    return dict(zip(decoding_methods, scores.softmax(0).tolist(), strict=True))


@pytest.mark.parametrize(
    ("objective", "temperature"),
    [(Mlm(), 1.0), pytest.param(Mntp(), 3.0, marks=pytest.mark.slow)],
    ids=str,
)
def test_metropolis_draws_by_the_pseudo_likelihood(
    objective: Objective, temperature: float
) -> None:
    """In the limit, from whatever proposals; without the choice (gibbs) it would not."""
    net = restless_net(FEW, seed=3)
    target = pseudo_likelihood(objective, net)
    sampler = Sampler(temperature=temperature, steps=5)

    def found(method: str) -> list[Filled]:
        settings = {"method": method, "sampler": sampler, "rows": 997}
        pairs = pairs_of(draw(objective, net, FEW, [0, 1, 1, 2], (1, 2), **settings))
        return [tuple(token for _, token in row) for row in pairs]

    assert_follows(found("metropolis"), target)
    with pytest.raises(AssertionError, match="degrees of freedom"):
        assert_follows(found("gibbs"), target)
