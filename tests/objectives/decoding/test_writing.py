"""What is drawn has the law of the model: enumerated in small worlds, to the last probability."""

import pytest
import torch

from lmcompare.model import Backbone
from lmcompare.model.kv_cache import KVCache
from lmcompare.objectives import (
    T5,
    Bart,
    Clm,
    Fim,
    Glm,
    Mdlm,
    Mntp,
    Objective,
    Plm,
    Prefix,
    Ul2,
)
from lmcompare.view import View
from tests.laws import assert_follows
from tests.objectives.cases import small_world
from tests.objectives.worlds import (
    WORDS,
    draw,
    free_law,
    holed,
    holes_of,
    law_of,
    pairs_of,
    reads,
    restless_net,
)

WORLD = small_world()
TOKENS = [0, 2, 1, 4, 3, 2]
END, MIDDLE, TWO = (3, 4, 5), (2, 3), (2, 4)
WRITERS: list[tuple[Objective, str, str, tuple[int, ...]]] = [
    (Clm(), "left-to-right", "causal", END),
    (Mntp(rate=1, masked=0, random=0, direction="left"), "left-to-right", "causal", END),
    (Prefix(), "left-to-right", "prefix", END),
    (Plm(), "left-to-right", "left-to-right", TWO),
    (T5(), "left-to-right", "given-length", TWO),
    (T5(architecture="decoder"), "left-to-right", "given-length", TWO),
    (Bart(), "left-to-right", "given-length", TWO),
    (Bart(architecture="decoder"), "left-to-right", "given-length", TWO),
    (Glm(), "left-to-right", "given-length", TWO),
    (Ul2(), "left-to-right", "given-length", END),
    (Fim(), "fim", "given-length", MIDDLE),
    (Fim(), "left-to-right", "causal", END),
    (Mdlm(), "left-to-right", "left-to-right", TWO),
]


@pytest.mark.parametrize(("objective", "method", "scoring", "places"), WRITERS, ids=str)
def test_what_is_drawn_has_the_law_of_the_scores(
    objective: Objective, method: str, scoring: str, places: tuple[int, ...]
) -> None:
    net = restless_net(WORLD, encodes=objective.encodes)
    pairs = pairs_of(draw(objective, net, WORLD, TOKENS, places, method=method))
    assert all(tuple(place for place, _ in row) == places for row in pairs)
    law = law_of(objective, net, WORLD, TOKENS, places, scoring)
    assert max(law.values()) > 2 / len(law), "far from uniform"
    assert_follows((tuple(token for _, token in row) for row in pairs), law)


def test_a_prompt_is_read_from_both_sides_by_a_prefix_model() -> None:
    """And what is written is not what a causal model with the same weights would write."""
    net = restless_net(WORLD)
    laws = [
        law_of(objective, net, WORLD, TOKENS, END, scoring)
        for objective, scoring in ((Prefix(), "prefix"), (Clm(), "causal"))
    ]
    assert sum(abs(laws[0][each] - laws[1][each]) for each in laws[0]) > 0.1
    pairs = pairs_of(draw(Prefix(), net, WORLD, TOKENS, END))
    with pytest.raises(AssertionError, match="degrees of freedom"):
        assert_follows((tuple(token for _, token in row) for row in pairs), laws[1])


FREE = [  # and how many holes they fill
    (T5(), 2),
    (Ul2(architecture="decoder"), 2),
    (Glm(), 1),
    (Fim(), 1),
    *(
        pytest.param(*each, marks=pytest.mark.slow)
        for each in (
            (T5(architecture="decoder"), 2),
            (Ul2(), 2),
            (Glm(), 2),
            (Bart(), 1),
            (Bart(architecture="decoder"), 1),
            (Bart(), 2),
        )
    ),
]


@pytest.mark.parametrize(("objective", "num_holes"), FREE, ids=str)
def test_holes_of_any_length_have_the_law_of_the_model(
    objective: Objective, num_holes: int
) -> None:
    """Empty ones too, and those cut at the limit; each row ends where it ends."""
    net, (tokens, places) = restless_net(WORDS, encodes=objective.encodes), holed(num_holes)
    limit = 1 if isinstance(objective, Bart) else 2
    written = draw(objective, net, WORDS, tokens, places, limit=limit)
    if isinstance(objective, Bart):  # all that follows the first hole is written anew
        assert written.holes[0].tolist() == [place >= places[0] for place in range(len(tokens))]
        limit = num_holes * limit + len(tokens) - places[0] - num_holes
        places = places[:1]
    law = free_law(objective, net, num_holes, limit=limit)
    assert min(sum(p for holes, p in law.items() if len(holes[0]) == n) for n in (0, 1, 2)) > 0.01
    assert_follows(holes_of(written, places), law)


class Recorder:
    """A writer that remembers what it was given to read."""

    def __init__(self, net: Backbone) -> None:
        self.net, self.views, self.device = net, [], net.device

    def cache(self, view: View, *, capacity: int) -> KVCache:
        return self.net.cache(view, capacity=capacity)

    def extend(
        self, cache: KVCache, view: View, wanted: torch.Tensor | None = None
    ) -> torch.Tensor:
        self.views.append(view)
        return self.net.extend(cache, view, wanted)

    def logits(self, view: View, wanted: torch.Tensor) -> torch.Tensor:
        raise AssertionError("everything is read once")

    log_prob = states_after = predict = logits


@pytest.mark.parametrize(("objective", "num_holes"), FREE[:-1], ids=str)
def test_each_token_stands_where_it_stood_in_training(objective: Objective, num_holes: int) -> None:
    """Whatever is written, all is read once, with the positions and the order put down by hand."""
    tokens, places = holed(num_holes)
    for seed in range(5):
        net = Recorder(restless_net(WORDS, encodes=objective.encodes, seed=seed))
        written = draw(objective, net, WORDS, tokens, places, rows=1, limit=5)
        whole = reads(objective, num_holes, [*holes_of(written, places)[0]])
        for name in ("tokens", "position", "order", "within"):
            pieces = [getattr(view, name) for view in net.views]
            if getattr(whole, name) is None:
                assert pieces == [None] * len(pieces)
                continue
            rows = [each.expand(1, -1) for each in pieces]
            found = torch.cat(rows, 1)
            assert found.tolist() == getattr(whole, name)[:, : found.shape[1]].tolist(), name
        assert whole.tokens.shape[1] - found.shape[1] <= 1, "the last token need not be read"
