"""Facts about blank infilling (Du et al. 2022, GLM)."""

from itertools import permutations
from math import exp, factorial
from typing import NamedTuple

import pytest
import torch
from scipy.stats import chisquare

from lmcompare import rng
from lmcompare.errors import UserError
from lmcompare.objectives import Glm
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.conftest import make_net
from tests.objectives.cases import (
    Spy,
    alike,
    asked_at,
    logits,
    messy,
    numbered,
    place_of,
    small_net,
    small_world,
    strings,
    total_by_rest,
    vocab_of,
)

WORDS = vocab_of(1201)


class FillResult(NamedTuple):
    """A span as it is written."""

    slots: list[int]
    fed: list[int]
    target: list[int]


def corrupt(text: Text, vocab: Vocab = WORDS, *, rate: float = 0.15) -> View:
    return Glm(rate=rate).corrupt(text, vocab, rng.generator("test"))


def parse(view: View, row: int, vocab: Vocab) -> tuple[list[int], list[FillResult]]:
    """What is read, and the spans in the order in which they are written."""
    assert view.within is not None
    slots = (view.within[row] > 0) & view.visible[row]
    context = view.tokens[row][(view.within[row] == 0) & view.visible[row]].tolist()
    spans: list[FillResult] = []
    for slot in slots.nonzero().flatten().tolist():
        if view.within[row, slot] == 1:
            spans.append(FillResult([], [], []))
        spans[-1].slots.append(slot)
        spans[-1].fed.append(int(view.tokens[row, slot]))
        spans[-1].target.append(int(view.target[row, slot]))
    return context, spans


def decode(view: View, row: int, vocab: Vocab) -> list[int]:
    """The text again: the mask at a span's position gives way to it."""
    context, spans = parse(view, row, vocab)
    read = [[token] for token in context]
    for span in spans:
        position = int(view.position[row, span.slots[0]])
        assert read[position] == [vocab.mask], "each span has a mask of its own"
        read[position] = span.target[:-1]
    assert [vocab.mask] not in read
    return [token for part in read for token in part]


def test_spans_are_begun_and_ended() -> None:
    view = corrupt(numbered(WORDS, rows=53, length=102))
    for row in range(53):
        for span in parse(view, row, WORDS)[1]:
            assert span.fed[0] == WORDS.bos
            assert span.target[-1] == WORDS.eos
            assert span.fed[1:] == span.target[:-1], "each token is fed once it is written"
            assert len(span.fed) > 1, "no span is empty"
            first = place_of(WORDS, span.fed[1])
            places = [place_of(WORDS, token) for token in span.fed[1:]]
            assert places == [*range(first, first + len(places))]


def test_fifteen_percent_are_taken_out_exactly() -> None:
    for length in (24, 102, 504):
        view = corrupt(numbered(WORDS, rows=11, length=length))
        for row in range(11):
            taken = sum(len(span.fed) - 1 for span in parse(view, row, WORDS)[1])
            assert taken == round(0.15 * (length - 1))


def test_two_channels_say_where_a_token_stands() -> None:
    view = corrupt(numbered(WORDS, rows=53, length=102))
    assert view.within is not None
    for row in range(53):
        context, spans = parse(view, row, WORDS)
        assert view.position[row, : len(context)].tolist() == [*range(len(context))]
        assert (view.within[row, : len(context)] == 0).all()
        masks = [place for place, token in enumerate(context) if token == WORDS.mask]
        in_text = sorted(spans, key=lambda span: span.fed[1])
        for span, mask in zip(in_text, masks, strict=True):
            assert view.position[row, span.slots].tolist() == [mask] * len(span.slots)
            assert view.within[row, span.slots].tolist() == [*range(1, len(span.slots) + 1)]


def test_who_sees_whom() -> None:
    text = messy(WORDS, rows=31, length=41)
    view = corrupt(text, rate=0.4)
    assert view.within is not None
    sees = view.sees()
    for row in range(31):
        is_context = ((view.within[row] == 0) & view.visible[row]).tolist()
        slots = [slot for span in parse(view, row, WORDS)[1] for slot in span.slots]
        for query, context in enumerate(is_context):
            if context:
                assert sees[row, query].tolist() == is_context, "context sees itself and no span"
        for number, slot in enumerate(slots):
            expected = [
                seen or place in slots[: number + 1] for place, seen in enumerate(is_context)
            ]
            assert sees[row, slot].tolist() == expected


def test_context_carries_no_loss_and_every_slot_does() -> None:
    view = corrupt(messy(WORDS, rows=31, length=41))
    assert view.within is not None
    expected = (view.within > 0) & view.visible
    assert torch.equal(view.target != IGNORE, expected)
    torch.testing.assert_close(view.weight, expected / expected.sum())


def test_identities_of_spans_do_not_reach_the_context_nor_earlier_spans() -> None:
    vocab = vocab_of(31, num_sentinels=17)
    view = corrupt(numbered(vocab, rows=1, length=30), vocab, rate=0.4)
    net = make_net(vocab)
    before = logits(net, view)
    _, spans = parse(view, 0, vocab)
    assert len(spans) > 2
    for slot in [slot for span in spans for slot in span.slots[1:]]:
        tokens = view.tokens.clone()
        tokens[0, slot] = vocab.regular[-1]
        changed = View(
            tokens=tokens,
            position=view.position,
            within=view.within,
            order=view.order,
            visible=view.visible,
            target=view.target,
            weight=view.weight,
        )
        moved = (logits(net, changed) != before).any(2)[0]
        assert not moved[:slot].any()
        assert moved[slot:].all()


def test_decoding_gives_the_text_back() -> None:
    text = messy(WORDS, rows=1009, length=41)
    text.tokens[(text.tokens == WORDS.eos) | (text.tokens == WORDS.require("unk"))] = WORDS.regular[
        3
    ]
    view = corrupt(text, rate=0.4)
    for row in range(1009):
        assert decode(view, row, WORDS) == text.tokens[row][text.visible[row]].tolist()


def test_a_special_token_ends_a_span() -> None:
    text = messy(WORDS, rows=1009, length=41)
    view = corrupt(text, rate=0.4)
    for row in range(1009):
        assert decode(view, row, WORDS) == text.tokens[row][text.visible[row]].tolist()


def test_lengths_of_spans_are_poissons_without_empty_ones() -> None:
    """The first twenty of each row in the order of the text; the last one is cut to fit."""
    view = corrupt(numbered(WORDS, rows=97, length=1002))
    lengths = []
    for row in range(97):
        in_text = sorted(parse(view, row, WORDS)[1], key=lambda span: span.fed[1])
        assert len(in_text) > 20
        lengths += [len(span.fed) - 1 for span in in_text[:20]]
    share = [exp(-3) * 3**k / factorial(k) / (1 - exp(-3)) for k in range(1, 8)]
    counts = torch.bincount(torch.tensor(lengths), minlength=9)
    observed = [*counts[1:8].tolist(), int(counts[8:].sum())]
    expected = [len(lengths) * part for part in [*share, 1 - sum(share)]]
    assert chisquare(observed, expected).pvalue > 1e-4


def test_spans_are_written_in_any_order_alike() -> None:
    view = corrupt(numbered(WORDS, rows=6007, length=54))
    orders = dict.fromkeys(permutations(range(3)), 0)
    firsts = view.tokens.tolist()
    assert view.within is not None
    within = view.within.tolist()
    for row in range(6007):
        begun = [firsts[row][slot] for slot, place in enumerate(within[row]) if place == 2]
        begun = [token for token in begun if place_of(WORDS, token)]
        if len(begun) == 3:
            orders[tuple(sorted(begun).index(token) for token in begun)] += 1
    assert sum(orders.values()) > 1000
    assert alike([*orders.values()])


def test_a_score_writes_the_holes_in_the_order_of_the_text() -> None:
    spy, text = Spy(), numbered(WORDS, rows=1, length=11)
    Glm().score(spy, text, WORDS, asked_at(text, 2, 3, 7))
    (view,) = spy.views
    words, mask = text.tokens[0].tolist(), WORDS.mask
    context, (first, second) = parse(view, 0, WORDS)
    assert context == [*words[:2], mask, *words[4:7], mask, *words[8:]]
    assert first.fed == [WORDS.bos, words[2], words[3]]
    assert first.target == [words[2], words[3], IGNORE], "how long a hole is, is told"
    assert second.target == [words[7], IGNORE]
    assert first.slots[0] < second.slots[0]


@pytest.mark.parametrize("places", [(1, 2, 3), (1, 3), (2,)])
def test_strings_of_a_small_world_add_up_to_one_given_the_context(places: tuple[int, ...]) -> None:
    world = small_world()
    text = strings(world, length=3)
    asked = asked_at(text, *places)
    scores = Glm().score(small_net(world), text, world, asked)
    totals = total_by_rest(text, asked, scores)
    assert len(totals) == 5 ** (3 - len(places))
    assert list(totals.values()) == pytest.approx([1.0] * len(totals), abs=1e-5)


def test_blocks_that_do_not_fit_are_refused(vocab: Vocab) -> None:
    Glm().require(vocab, length=24)
    with pytest.raises(UserError, match="fewer than one span of 3"):
        Glm().require(vocab, length=14)
