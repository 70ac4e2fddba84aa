"""A search finds what it should: by enumeration in small worlds."""

import math
from dataclasses import replace

import pytest
import torch

from lmcompare.objectives import T5, Bart, Clm, Fim, Glm, Objective, Prefix, Ul2
from lmcompare.objectives.decoding.fill_request import DecodeStep, FillRequest
from lmcompare.objectives.decoding.sampler import Sampler
from tests.conftest import plain_text
from tests.objectives.cases import asked_at, small_world
from tests.objectives.worlds import (
    WORDS,
    Hole,
    draw,
    free_law,
    holed,
    holes_of,
    law_of,
    pairs_of,
    restless_net,
)

WORLD = small_world()
TOKENS = [0, 2, 1, 4, 3, 2]
END, TWO = (3, 4, 5), (2, 3, 5)
Law = dict[tuple[int, ...], float]


def search(law: Law, num_beams: int) -> Hole:
    """The same by its definition: the best beginnings are kept, by their share of the law."""
    beams: list[Hole] = [()]
    for size in range(1, len(next(iter(law))) + 1):
        longer = {(*beam, token) for beam in beams for token in range(WORLD.size)}
        share = {
            each: sum(chance for found, chance in law.items() if found[:size] == each)
            for each in longer
        }
        beams = sorted(longer, key=share.__getitem__, reverse=True)[:num_beams]
    return beams[0]


WRITERS: list[tuple[Objective, str, tuple[int, ...]]] = [
    (Clm(), "causal", END),
    (Prefix(), "prefix", END),
    (Fim(), "causal", END),
    (T5(), "given-length", TWO),
    (T5(architecture="decoder"), "given-length", TWO),
    (Bart(), "given-length", TWO),
    (Glm(), "given-length", TWO),
]


@pytest.mark.parametrize(("objective", "scoring", "places"), WRITERS, ids=str)
def test_beams_are_searched_by_the_definition(
    objective: Objective, scoring: str, places: tuple[int, ...]
) -> None:
    """One beam is greedy; as many as there are beginnings find the likeliest text of all."""
    num_answers = set()
    for seed in range(7):
        net = restless_net(WORLD, encodes=objective.encodes, seed=seed)
        law = law_of(objective, net, WORLD, TOKENS, places, scoring)
        found = []
        for num_beams in (1, 2, 3, 25):
            sampler = Sampler(beams=num_beams) if num_beams > 1 else Sampler(greedy=True)
            written = draw(objective, net, WORLD, TOKENS, places, rows=1, sampler=sampler)
            found.append(tuple(token for _, token in pairs_of(written)[0]))
            assert found[-1] == search(law, num_beams)
        assert found[-1] == max(law, key=law.__getitem__)
        num_answers.add(len({*found}))
    assert max(num_answers) > 1, "or this shows little"


@pytest.mark.parametrize("penalty", [0.0, 1.0, 3.0, -1.0])
@pytest.mark.parametrize(
    ("objective", "num_holes"),
    [(Glm(), 2), (Glm(), 1), (Fim(), 1), (T5(), 2), (T5(architecture="decoder"), 2), (Ul2(), 2)],
    ids=str,
)
def test_of_holes_of_any_length_the_best_by_length_is_found(
    objective: Objective, num_holes: int, penalty: float
) -> None:
    """With a beam for every text, however many tokens end it; an empty one counts as one token."""
    net, (tokens, places) = restless_net(WORDS, encodes=objective.encodes), holed(num_holes)
    sampler = Sampler(beams=13**num_holes, length_penalty=penalty)
    written = draw(objective, net, WORDS, tokens, places, rows=1, limit=2, sampler=sampler)
    law = free_law(objective, net, num_holes, limit=2)

    def merit(holes: tuple[Hole, ...]) -> float:
        return math.log(law[holes]) / max(1, sum(map(len, holes))) ** penalty

    assert holes_of(written, places)[0] == max(law, key=merit)


def test_who_watches_a_search_is_told_nothing() -> None:
    """It writes several texts for each row; of one alone it tells."""
    moments: list[DecodeStep] = []
    text = plain_text(torch.tensor([TOKENS] * 2), word=torch.arange(6).repeat(2, 1))
    request = FillRequest(
        text=text,
        holes=asked_at(text, *END),
        any_length=False,
        limit=1,
        sampler=Sampler(beams=3),
        generators=(torch.Generator(),) * 2,
        on_step=moments.append,
    )
    Clm().fill(restless_net(WORLD), request, WORLD)
    assert not moments
    Clm().fill(restless_net(WORLD), replace(request, sampler=Sampler()), WORLD)
    assert max(int(moment.row.max()) for moment in moments) == 1
