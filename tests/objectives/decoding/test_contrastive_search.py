"""Contrastive search, beside its definition, without a cache and candidate by candidate."""

import pytest
import torch
from torch.nn.functional import normalize

from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.objectives import T5, Bart, Clm, Fim, Glm, Objective, Prefix, Ul2
from lmcompare.objectives.decoding.fill_request import DecodeStep
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.view import View
from lmcompare.vocab import Vocab
from tests.conftest import make_net, values
from tests.objectives.decoding.test_autoregressive import clean, holes_of, request_of
from tests.objectives.worlds import (
    PIECES,
    WORDS,
    A,
    B,
    C,
    Hole,
    causal,
    draw,
    ordered,
    pairs_of,
    reads,
    restless_net,
)

START = [WORDS.bos, *PIECES[0]]
LENGTH = 4
HOLE = tuple(range(len(START), len(START) + LENGTH))


def read_by(objective: Objective, hole: Hole) -> View:
    """All that has been read when so much was written."""
    if isinstance(objective, Clm):
        return causal([*START, *hole])
    if isinstance(objective, Prefix):
        return ordered([*START, *hole], [0] * len(START) + [*range(1, 1 + len(hole))])
    return reads(objective, 1, [hole])


def search(objective: Objective, net: Backbone, *, candidates: int, penalty: float) -> Hole:
    hole: Hole = ()
    for _ in range(LENGTH):
        view = read_by(objective, hole)
        states = net.states(view)[0]
        chance = (states[-1] @ net.embedding.T)[[A, B, C]].softmax(0)
        merits = {}
        for number in chance.argsort(descending=True)[:candidates].tolist():
            longer = (*hole, (A, B, C)[number])
            new = net.states(read_by(objective, longer))[0, -1]
            likeness = (normalize(states, dim=1) @ normalize(new, dim=0)).max()
            merits[longer] = float((1 - penalty) * chance[number] - penalty * likeness)
        hole = max(merits, key=merits.__getitem__)
    return hole


# all but UL2, which is told how much is missing
BY_HAND = [Clm(), Prefix(), Fim(), T5(), T5(architecture="decoder"), Bart(), Glm()]
WRITERS = [*BY_HAND, Ul2(), Ul2(architecture="decoder")]


@pytest.mark.parametrize("objective", values(*BY_HAND[:2], slow=BY_HAND[2:]), ids=str)
@torch.no_grad()
def test_the_best_candidate_is_gone_on_with(objective: Objective) -> None:
    """In any text, and with all that counts: what the candidates are, and what likeness costs."""
    in_midst = any(each.holes != "end" for each in objective.decoding_methods.values())
    tokens = [*START, *[WORDS.pad] * LENGTH, *([*PIECES[1], *PIECES[2]] if in_midst else [])]
    found = set()
    for seed in range(5):
        net = restless_net(WORDS, encodes=objective.encodes, seed=seed)
        for candidates, penalty in ((2, 0.4), (3, 0.4), (3, 0.9), (2, 0.0)):
            sampler = Sampler(degeneration_penalty=penalty, candidates=candidates)
            written = draw(objective, net, WORDS, tokens, HOLE, rows=1, sampler=sampler)
            hole = tuple(token for _, token in pairs_of(written)[0])
            assert hole == search(objective, net, candidates=candidates, penalty=penalty)
            found.add((seed, hole))
    assert len(found) > 7, "or the settings change nothing"


@pytest.mark.parametrize("objective", WRITERS, ids=str)
def test_without_a_penalty_it_is_greedy(objective: Objective, vocab: Vocab) -> None:
    net, text = make_net(vocab, encodes=objective.encodes), clean(vocab)
    usual = next(iter(objective.decoding_methods.values()))
    holes = holes_of(text, usual.holes)
    found = [
        objective.fill(net, request_of(text, holes, sampler), vocab).token
        for sampler in (Sampler(greedy=True), Sampler(degeneration_penalty=0))
    ]
    assert torch.equal(*found)


def test_more_candidates_than_tokens_are_all_tokens(vocab: Vocab) -> None:
    """What is no text is none of them, however little it is like what was read."""
    text, net = clean(vocab), make_net(vocab)
    found = [
        Clm().fill(net, request_of(text, holes_of(text, "end"), sampler), vocab).token
        for sampler in (
            Sampler(degeneration_penalty=0.9, candidates=len(vocab.regular)),
            Sampler(degeneration_penalty=0.9, candidates=vocab.size + 7),
        )
    ]
    assert torch.equal(*found)
    assert not vocab.is_special(found[0][found[0] >= 0]).any()


def test_who_watches_is_told_of_the_text_that_is_kept(vocab: Vocab) -> None:
    steps: list[DecodeStep] = []
    text, net = clean(vocab), make_net(vocab)
    sampler = Sampler(degeneration_penalty=0.8, candidates=3)
    asked = request_of(text, holes_of(text, "end"), sampler, on_step=steps.append)
    written = Clm().fill(net, asked, vocab)
    told = {}
    for step in steps:
        pairs = zip(step.row.tolist(), step.index.tolist(), strict=True)
        told |= dict(zip(pairs, step.token.tolist(), strict=True))
    row, step = (written.index >= 0).nonzero(as_tuple=True)
    pairs = zip(row.tolist(), written.index[row, step].tolist(), strict=True)
    assert told == dict(zip(pairs, written.token[row, step].tolist(), strict=True))


def test_an_end_is_like_nothing(vocab: Vocab) -> None:
    text = clean(vocab)
    sampler = Sampler(degeneration_penalty=0.8)
    asked = request_of(text, holes_of(text, "one"), sampler, any_length=True)
    with pytest.raises(UserError, match="no use for degeneration_penalty where no number of"):
        Glm().fill(make_net(vocab), asked, vocab)
