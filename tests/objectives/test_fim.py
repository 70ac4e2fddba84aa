"""Facts about filling in the middle (Bavarian et al. 2022)."""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from scipy.stats import chisquare

from lmcompare import rng
from lmcompare.errors import Unsupported, UserError
from lmcompare.model import Backbone
from lmcompare.objectives import Clm, Fim
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.objectives.cases import (
    Spy,
    asked_at,
    messy,
    numbered,
    shown,
    small_net,
    small_world,
    strings,
    total_by_rest,
    vocab_of,
    written,
)

WORDS = vocab_of(101)
PRE, SUF, MID = (WORDS.require(f"fim_{part}") for part in ("prefix", "suffix", "middle"))


class Parts(NamedTuple):
    """A row taken apart; in SPM the prefix is the beginning of the middle."""

    kind: str
    prefix: list[int]
    middle: list[int]
    suffix: list[int]


def corrupt(objective: Fim, text: Text, vocab: Vocab = WORDS, seed: int = 0) -> View:
    return objective.corrupt(text, vocab, rng.generator("test", seed))


def parse(tokens: list[int]) -> Parts:
    """The parts of a row by its marks; PSM without a prefix looks like SPM."""
    bos, *rest = tokens
    assert bos == WORDS.bos
    if not rest or rest[0] != PRE:
        assert not {PRE, SUF, MID} & {*rest}
        return Parts("plain", rest, [], [])
    assert rest[-1] == WORDS.eos, "an end token says that the middle is complete"
    suf, mid = rest.index(SUF), rest.index(MID)
    assert [rest.count(mark) for mark in (PRE, SUF, MID)] == [1, 1, 1]
    kind = "spm" if suf == 1 else "psm"
    return Parts(kind, rest[1:suf], rest[mid + 1 : -1], rest[suf + 1 : mid])


def whole(parts: Parts) -> list[int]:
    return [*parts.prefix, *parts.middle, *parts.suffix]


def parsed(view: View) -> list[Parts]:
    return [parse(shown(view, row)) for row in range(len(view.tokens))]


def test_shares_of_rows() -> None:
    """Of eleven tokens the prefix is empty, where one of two cuts is at the first of 12 places."""
    text = numbered(WORDS, rows=4001, length=12)
    counts = Counter(parts.kind for parts in parsed(corrupt(Fim(rate=0.5, spm=0.25), text)))
    psm = 0.375 * (11 / 12) ** 2
    for kind, share in (("plain", 0.5), ("psm", psm), ("spm", 0.5 - psm)):
        assert counts[kind] / 4001 == pytest.approx(share, abs=4 * 0.5 / 4001**0.5)


@pytest.mark.parametrize("spm", [0, 1])
def test_the_two_orders_of_the_parts(spm: float) -> None:
    """Prefix, suffix, middle; or suffix, and then prefix and middle behind one mark."""
    text = numbered(WORDS, rows=101, length=12)
    kinds = set()
    for parts in parsed(corrupt(Fim(rate=1, spm=spm), text)):
        assert whole(parts) == text.tokens[0, 1:].tolist()
        kinds.add(parts.kind)
    assert kinds == ({"spm"} if spm else {"psm", "spm"})


def test_cuts_are_uniform_and_parts_may_be_empty() -> None:
    """Two cuts among five tokens, each at any of six places, the ends among them."""
    text = numbered(WORDS, rows=8009, length=6)
    counts = torch.zeros(6, 6, dtype=torch.int64)
    for parts in parsed(corrupt(Fim(rate=1, spm=0), text)):
        counts[len(parts.prefix), len(parts.prefix) + len(parts.middle)] += 1
    pairs = [(first, second) for first in range(6) for second in range(first, 6)]
    observed = [int(counts[pair]) for pair in pairs]
    assert sum(observed) == 8009
    expected = [8009 * (1 if first == second else 2) / 36 for first, second in pairs]
    assert chisquare(observed, expected).pvalue > 1e-4


def test_every_token_of_the_text_is_a_target_once_and_the_end_after_the_middle() -> None:
    text = messy(WORDS, rows=101, length=41)
    view = corrupt(Fim(), text)
    for row in range(101):
        words = [token for token in text.tokens[row].tolist() if not special(token)]
        output = written(view, row)
        apart = PRE in shown(view, row)
        assert sorted(token for token in output if token != WORDS.eos) == sorted(words)
        assert output.count(WORDS.eos) == apart
        if apart:
            last = shown(view, row)
            assert view.target[row, len(last) - 2] == WORDS.eos
            assert last[-1] == WORDS.eos
        following = torch.full_like(view.tokens[row], IGNORE)
        following[:-1] = view.tokens[row, 1:]
        predicted = view.target[row] != IGNORE
        assert torch.equal(view.target[row][predicted], following[predicted])


def special(token: int) -> bool:
    return bool(WORDS.is_special(torch.tensor(token)))


def test_specials_of_a_text_stay_between_its_tokens() -> None:
    text = messy(WORDS, rows=101, length=41)
    view = corrupt(Fim(rate=1, spm=0), text)
    for row, parts in enumerate(parsed(view)):
        assert whole(parts) == text.tokens[row][text.visible[row]].tolist()[1:]


def test_plain_rows_are_those_of_a_causal_model() -> None:
    text = messy(WORDS, rows=101, length=41)
    view = corrupt(Fim(rate=0), text)
    causal = Clm().corrupt(text, WORDS, rng.generator("test"))
    width = view.tokens.shape[1]
    for name in ("target", "visible", "weight", "position"):
        assert torch.equal(getattr(view, name), getattr(causal, name)[:, :width])
    assert torch.equal(view.sees(), causal.sees()[:, :width, :width])
    mixed = corrupt(Fim(), text)
    plain = [row for row, parts in enumerate(parsed(mixed)) if parts.kind == "plain"]
    assert len(plain) > 30
    for row in plain:
        assert shown(mixed, row) == text.tokens[row][text.visible[row]].tolist()
        assert written(mixed, row) == written(causal, row)


def test_padding_is_no_end_where_one_token_is_both() -> None:
    """As in GPT-2's vocabulary."""
    one = replace(WORDS, roles={**WORDS.roles, "pad": WORDS.eos})
    text = numbered(one, rows=31, length=12)
    view = corrupt(Fim(), text, one)
    for row in range(31):
        apart = PRE in view.tokens[row]
        assert written(view, row).count(WORDS.eos) == apart


def test_it_is_causal_throughout() -> None:
    view = corrupt(Fim(), messy(WORDS, rows=101, length=41))
    assert view.hint == "causal"
    assert (view.position == torch.arange(view.tokens.shape[1])).all()


def test_a_text_scores_as_under_a_causal_model(text: Text, vocab: Vocab, net: Backbone) -> None:
    everything = torch.ones_like(text.visible)
    assert torch.equal(
        Fim().score(net, text, vocab, everything), Clm().score(net, text, vocab, everything)
    )


@pytest.mark.parametrize("places", [(3, 4, 5), (1,), (10,), (1, 2), (9, 10)])
def test_a_hole_is_filled_after_what_stands_on_both_sides(places: tuple[int, ...]) -> None:
    spy, text = Spy(), numbered(WORDS, rows=1, length=11)
    Fim().score(spy, text, WORDS, asked_at(text, *places), scoring="given-length")
    (view,) = spy.views
    words = text.tokens[0].tolist()
    parts = parse(shown(view, 0))
    assert parts.prefix == words[1 : places[0]]
    assert parts.suffix == words[places[-1] + 1 :]
    assert written(view, 0) == parts.middle == [words[place] for place in places]
    first = int((view.target[0] != IGNORE).int().argmax())
    assert view.tokens[0, first] == MID
    assert view.sees()[0, first].nonzero().flatten().tolist() == [*range(first + 1)]


def test_both_sides_matter_to_a_hole(text: Text, vocab: Vocab, net: Backbone) -> None:
    asked = asked_at(text, 7)
    before = Fim().score(net, text, vocab, asked, scoring="given-length")
    for place in (1, 6, 8, 19):
        tokens = text.tokens.clone()
        tokens[2, place] = vocab.regular[3] + (tokens[2, place] == vocab.regular[3])
        after = Fim().score(net, replace(text, tokens=tokens), vocab, asked, scoring="given-length")
        assert after[2, 7] != before[2, 7]


def test_several_holes_are_refused() -> None:
    text = numbered(WORDS, rows=1, length=11)
    with pytest.raises(Unsupported, match="one hole of a text"):
        Fim().score(Spy(), text, WORDS, asked_at(text, 3, 5), scoring="given-length")
    Fim().score(Spy(), text, WORDS, asked_at(text, 3, 5), scoring="causal")


@pytest.mark.parametrize("places", [(1, 2, 3), (1, 2), (2, 3), (2,)])
def test_a_hole_of_a_small_world_adds_up_to_one(places: tuple[int, ...]) -> None:
    world = small_world()
    text = strings(world, length=3)
    asked = asked_at(text, *places)
    scores = Fim().score(small_net(world), text, world, asked, scoring="given-length")
    totals = total_by_rest(text, asked, scores)
    assert len(totals) == 5 ** (3 - len(places))
    assert list(totals.values()) == pytest.approx([1.0] * len(totals), abs=1e-5)


def test_a_vocabulary_without_marks_is_refused(vocab: Vocab) -> None:
    Fim().require(vocab, length=23)
    roles = {role: number for role, number in vocab.roles.items() if role != "fim_middle"}
    with pytest.raises(UserError, match="no fim_middle token"):
        Fim().require(replace(vocab, roles=roles), length=23)
