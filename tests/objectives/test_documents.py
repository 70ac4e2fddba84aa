"""Documents packed in one row: nothing of one reaches what is predicted of another.

As in training, the end token between two documents belongs to the second, which it opens.
"""

from dataclasses import replace

import pytest
import torch

from lmcompare import rng
from lmcompare.objectives import (
    OBJECTIVES,
    T5,
    Bart,
    Hybrid,
    MixturePart,
    Mlm,
    Objective,
    Plm,
    Prefix,
    Ul2,
    parse_objective,
)
from lmcompare.view import IGNORE, Text, View
from tests.conftest import make_net, plain_text
from tests.objectives.cases import Spy, asked_at, logits, vocab_of

WORDS = vocab_of(30, num_sentinels=23)
HALF = 15  # words of the vocabulary in documents of even number; the others are in the odd ones
ENDS = (9, 14, 22)  # where end tokens stand

DRAWN = [
    *(kind() for kind in OBJECTIVES.values()),
    Mlm(rate=0.4, select="span"),
    Plm(rate=1),
    T5(architecture="decoder", rate=0.4, roll=True),
    Bart(architecture="decoder", shuffle_sentences=True, rotate=True),
    Bart(noise="delete"),
    Ul2(architecture="decoder"),
    Hybrid(parts=(MixturePart(objective=Plm()), MixturePart(objective=Prefix()))),
]


def packed(*, rows: int = 7, length: int = 29, seed: int = 0) -> Text:
    """Four documents a row; a word's id tells whether its document's number is even."""
    draws = torch.Generator().manual_seed(seed)
    opens = torch.isin(torch.arange(length), torch.tensor(ENDS))
    document = opens.long().cumsum(0).repeat(rows, 1)
    which = torch.randint(HALF, (rows, length), generator=draws)
    tokens = WORDS.regular[which + HALF * (document % 2)]
    tokens[:, opens] = WORDS.eos
    tokens[:, 0] = WORDS.bos
    word = torch.arange(length).repeat(rows, 1)
    return plain_text(tokens, word=word, document=document)


def with_other_words(text: Text, *, odd: bool) -> Text:
    """The same, but for the words in documents of one kind, each changed to another of its kind."""
    assert text.document is not None
    first = int(WORDS.regular[0])
    number = text.tokens - first
    moved = first + HALF * odd + (number - HALF * odd + 4) % HALF
    changed = (text.document % 2 == odd) & ~WORDS.is_special(text.tokens)
    return replace(text, tokens=text.tokens.where(~changed, moved))


def is_odd(target: torch.Tensor) -> torch.Tensor:
    return (target >= int(WORDS.regular[HALF])) & (target <= int(WORDS.regular[-1]))


def is_even(target: torch.Tensor) -> torch.Tensor:
    return (target >= int(WORDS.regular[0])) & (target < int(WORDS.regular[HALF]))


def corrupt(objective: Objective, text: Text, seed: int) -> View:
    return objective.corrupt(text, WORDS, rng.generator("test", seed))


@pytest.mark.parametrize("objective", DRAWN, ids=repr)
def test_other_documents_do_not_reach_a_target(objective: Objective) -> None:
    """Change every word of the others, corrupt alike: no logit of a target here may move."""
    text = packed()
    net = make_net(WORDS, encodes=objective.encodes)
    checked = 0
    for seed in range(2):
        view = corrupt(objective, text, seed)
        before = logits(net, view)
        for odd in (False, True):
            other = corrupt(objective, with_other_words(text, odd=odd), seed)
            here = is_even(view.target) if odd else is_odd(view.target)
            assert torch.equal(other.target[here], view.target[here])
            checked += int(here.sum())
            torch.testing.assert_close(logits(net, other)[here], before[here], rtol=0, atol=1e-4)
    assert checked > 20


SCORED = [
    (name, how)
    for name in OBJECTIVES
    for how, facts in parse_objective(name).scorings.items()
    if not facts.sampled  # whose draws depend on the whole row
]


@pytest.mark.parametrize(("name", "how"), SCORED)
def test_other_documents_do_not_reach_a_score(name: str, how: str) -> None:
    objective, text = parse_objective(name), packed(rows=2)
    net = make_net(WORDS, encodes=objective.encodes)
    asked = asked_at(text, 11)
    assert text.document is not None
    assert text.document[0, 11] == 1
    before = objective.score(net, text, WORDS, asked, scoring=how)
    assert (before[:, 11] < 0).all()
    other = with_other_words(text, odd=False)
    after = objective.score(net, other, WORDS, asked, scoring=how)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


def test_each_document_has_targets_of_its_own() -> None:
    """Or the facts above would hold for nothing."""
    for seed in range(5):
        view = corrupt(T5(rate=0.4), packed(), seed)
        assert is_odd(view.target).any()
        assert is_even(view.target).any()
        assert (view.target[view.target != IGNORE] != WORDS.bos).all()


@pytest.mark.parametrize("name", ["t5", "ul2", "bart", "glm"])
def test_what_stands_for_a_hole_is_of_its_document(name: str) -> None:
    """The mask or sentinel in its place: seen from there, and from nowhere else."""
    spy, text = Spy(), packed(rows=1)
    for place, document in ((3, 0), (11, 1), (19, 2), (27, 3)):
        parse_objective(name).score(spy, text, WORDS, asked_at(text, place))
        view = spy.views.pop()
        read = view if view.source is None else view.source
        assert read.document is not None
        stands = torch.isin(read.tokens, torch.tensor([WORDS.mask, WORDS.sentinels[0]]))
        assert read.document[stands].tolist() == [document]


def test_what_is_taken_out_of_a_document_is_written_from_it() -> None:
    """Of an encoder: a position of the output sees the source of its own document only."""
    view = corrupt(T5(rate=0.4), packed(), 0)
    assert view.source is not None
    sees = view.sees_source()
    for row, place in (view.target != IGNORE).nonzero().tolist():
        seen = view.source.tokens[row][sees[row, place]]
        if is_odd(view.target[row, place]):
            assert not is_even(seen).any()
        elif is_even(view.target[row, place]):
            assert not is_odd(seen).any()
