"""Facts about denoising a whole text (Lewis et al. 2020, BART, section 2.2)."""

from itertools import pairwise, permutations
from math import exp, factorial

import pytest
import torch
from scipy.stats import chisquare

from lmcompare import rng
from lmcompare.errors import UserError
from lmcompare.objectives import Bart
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.conftest import make_text, plain_text
from tests.objectives.cases import (
    Spy,
    alike,
    asked_at,
    messy,
    numbered,
    place_of,
    shown,
    small_net,
    small_world,
    strings,
    total_by_rest,
    vocab_of,
    written,
)

WORDS = vocab_of(1201)
NOISES = [
    Bart(),
    Bart(noise="mask"),
    Bart(noise="delete"),
    Bart(noise="none"),
    Bart(noise="none", shuffle_sentences=True),
    Bart(noise="none", rotate=True),
    Bart(shuffle_sentences=True, rotate=True),
]


def source(view: View) -> View:
    assert view.source is not None
    return view.source


def corrupt(objective: Bart, text: Text, vocab: Vocab = WORDS, seed: int = 0) -> View:
    return objective.corrupt(text, vocab, rng.generator("test", seed))


def with_sentences(num: int, *, rows: int) -> tuple[Text, Vocab]:
    """Sentences of three words, each ended by a full stop, whose tokens are all different."""
    words = vocab_of(4 * num)
    stops = frozenset(words.regular[3::4].tolist())
    text = numbered(words, rows=rows, length=4 * num + 1)
    return text, Vocab(
        size=words.size, roles=words.roles, specials=words.specials, sentence_ends=stops
    )


@pytest.mark.parametrize("objective", NOISES, ids=repr)
def test_the_whole_text_is_written_in_its_order(objective: Bart, text: Text, vocab: Vocab) -> None:
    view = corrupt(objective, text, vocab)
    assert torch.equal(view.tokens, text.tokens)
    assert view.hint == "causal"
    for row in range(len(text.tokens)):
        is_text = ~vocab.is_special(text.tokens[row])
        tokens = text.tokens[row, is_text].tolist()
        assert written(view, row) == [*tokens, vocab.eos], "every token is a target, and the end"
        places = (view.target[row] != IGNORE).nonzero().flatten()
        assert torch.equal(places[:-1] + 1, is_text.nonzero().flatten())
        assert places[-1] == text.visible[row].sum() - 1


def test_three_in_ten_words_are_taken_out_exactly() -> None:
    for length in (11, 24, 102, 504):
        text = numbered(WORDS, rows=23, length=length)
        view = corrupt(Bart(), text)
        for row in range(23):
            kept = [token for token in shown(source(view), row) if token != WORDS.mask]
            assert kept == [token for token in text.tokens[row].tolist() if token in kept]
            assert length - len(kept) == round(0.3 * (length - 1))


@pytest.mark.parametrize("mean", [1.5, 3.0, 5.0])
def test_lengths_of_spans_are_poissons_with_empty_ones(mean: float) -> None:
    """Between kept words a single mask is one span; the last ones are left out, as one is cut."""
    text = numbered(WORDS, rows=53, length=1002)
    view = corrupt(Bart(mean_span=mean), text)
    counts = torch.zeros(31, dtype=torch.int64)
    for row in range(53):
        places = [
            -1 if token == WORDS.mask else place_of(WORDS, token)
            for token in shown(source(view), row)[:700]
        ]
        masks = [i for i, place in enumerate(places[:-1]) if place < 0][:30]
        for i in masks:
            if places[i - 1] >= 0 and places[i + 1] >= 0:
                counts[places[i + 1] - places[i - 1] - 1] += 1
    most = 7
    share = [exp(-mean) * mean**k / factorial(k) for k in range(most)]
    observed = [*counts[:most].tolist(), int(counts[most:].sum())]
    expected = [*share, 1 - sum(share)]
    assert counts[0] > 25 * exp(-mean), "empty spans insert masks"
    assert chisquare(observed, [sum(observed) * part for part in expected]).pvalue > 1e-4


def test_the_rate_comes_out_with_short_spans() -> None:
    view = corrupt(Bart(mean_span=1), numbered(WORDS, rows=53, length=402))
    for row in range(53):
        kept = [token for token in shown(source(view), row) if token != WORDS.mask]
        assert 402 - len(kept) == round(0.3 * 401)


def test_pieces_of_a_word_go_together(vocab: Vocab) -> None:
    """Of `make_text`, whose words have up to three pieces; kept tokens keep their order."""
    text = make_text(vocab, rows=53, length=89)
    tokens = torch.cat([torch.tensor([WORDS.bos]), WORDS.regular[:88]]).repeat(53, 1)
    text = plain_text(tokens, word=text.word)
    view = corrupt(Bart(), text)
    cut = 0
    for row in range(53):
        kept = {place_of(WORDS, token) for token in shown(source(view), row)}
        for place in range(2, 89):
            if text.word[row, place] == text.word[row, place - 1]:
                assert (place in kept) == (place - 1 in kept)
                cut += place not in kept
    assert cut > 100


@pytest.mark.parametrize("noise", ["infill", "mask", "delete"])
def test_start_end_and_unknown_tokens_stay(noise: str) -> None:
    text = messy(WORDS, rows=101, length=53)
    view = corrupt(Bart(noise=noise), text)
    specials = {WORDS.bos, WORDS.eos, WORDS.require("unk")}
    for row in range(101):
        before = [token for token in text.tokens[row].tolist() if token in specials]
        assert [token for token in shown(source(view), row) if token in specials] == before
        assert shown(source(view), row)[0] == WORDS.bos


def test_masked_tokens_keep_their_places() -> None:
    text = numbered(WORDS, rows=101, length=998)
    view = corrupt(Bart(noise="mask"), text)
    changed = source(view).tokens != text.tokens
    assert (source(view).tokens[changed] == WORDS.mask).all()
    assert float(changed[:, 1:].float().mean()) == pytest.approx(0.3, abs=0.006)


def test_deleted_tokens_leave_no_trace() -> None:
    text = numbered(WORDS, rows=101, length=998)
    view = corrupt(Bart(noise="delete"), text)
    left = 0
    for row in range(101):
        read = shown(source(view), row)
        assert WORDS.mask not in read
        assert read == sorted(read, key=text.tokens[0].tolist().index)
        left += len(set(read)) - 1
    assert left / (101 * 997) == pytest.approx(0.7, abs=0.006)


def test_without_noise_the_source_is_the_text(text: Text, vocab: Vocab) -> None:
    view = corrupt(Bart(noise="none"), text, vocab)
    for row in range(len(text.tokens)):
        assert shown(source(view), row) == text.tokens[row][text.visible[row]].tolist()


def test_sentences_are_shuffled_as_wholes() -> None:
    text, words = with_sentences(3, rows=3001)
    view = corrupt(Bart(noise="none", shuffle_sentences=True), text, words)
    sentences = text.tokens[0, 1:].reshape(3, 4).tolist()
    orders = {
        tuple(token for which in order for token in sentences[which]): 0
        for order in permutations(range(3))
    }
    for row in range(3001):
        bos, *read = shown(source(view), row)
        assert bos == words.bos
        orders[tuple(read)] += 1
    assert alike([*orders.values()])


def test_a_sentence_without_a_stop_is_one_too(vocab: Vocab) -> None:
    """The fixture's: what follows the last full stop, up to the padding."""
    text = make_text(vocab, rows=31)
    view = corrupt(Bart(noise="none", shuffle_sentences=True), text, vocab)
    moved = 0
    for row in range(31):
        read, before = shown(source(view), row), text.tokens[row][text.visible[row]].tolist()
        assert sorted(read) == sorted(before)
        moved += read != before
    assert moved > 5


@pytest.mark.parametrize("apart", [False, True])
def test_sentences_stay_in_their_documents(apart: bool) -> None:
    """Whether or not these may see each other; a separator stays where it is."""
    text, words = with_sentences(5, rows=101)
    text.tokens[:, 8] = words.eos
    document = (torch.arange(21) > 8).long().expand_as(text.tokens) if apart else None
    text = plain_text(text.tokens, word=text.word, document=document)
    view = corrupt(Bart(noise="none", shuffle_sentences=True), text, words)
    read = source(view)
    assert torch.equal(read.tokens[:, 1:8].sort(1).values, text.tokens[:, 1:8].sort(1).values)
    assert (read.tokens[:, 8] == words.eos).all()
    assert (read.document is None) if document is None else torch.equal(read.document, document)
    assert not torch.equal(read.tokens[:, 1:8], text.tokens[:, 1:8])


def test_a_rotated_text_begins_at_any_token_alike() -> None:
    text = numbered(WORDS, rows=5003, length=12)
    view = corrupt(Bart(noise="none", rotate=True), text)
    words = text.tokens[0, 1:].tolist()
    turns = [0] * 11
    for row in range(5003):
        bos, *read = shown(source(view), row)
        turn = words.index(read[0])
        assert bos == WORDS.bos
        assert read == words[turn:] + words[:turn], "the order is cyclic"
        turns[turn] += 1
    assert alike(turns)


def test_noise_falls_on_the_text_that_was_moved() -> None:
    """With rotation, no piece of a word that is now at an end goes with its other pieces."""
    text = numbered(WORDS, rows=53, length=102)
    view = corrupt(Bart(rotate=True), text)
    for row in range(53):
        places = [place_of(WORDS, token) for token in shown(source(view), row)]
        kept = [place for place in places if place]
        drops = sum(b < a for a, b in pairwise(kept))
        assert drops <= 1, "cyclic, with words missing"
        assert len(kept) == 101 - round(0.3 * 101)


def test_each_hole_is_one_mask_and_all_before_a_token_is_written() -> None:
    spy, text = Spy(), numbered(WORDS, rows=1, length=11)
    Bart().score(spy, text, WORDS, asked_at(text, 2, 3, 7))
    (view,) = spy.views
    words, mask = text.tokens[0].tolist(), WORDS.mask
    assert shown(source(view), 0) == [*words[:2], mask, *words[4:7], mask, *words[8:]]
    assert view.tokens[0].tolist() == words
    assert (view.target[0] != IGNORE).nonzero().flatten().tolist() == [1, 2, 6]
    assert written(view, 0) == [words[2], words[3], words[7]]


@pytest.mark.parametrize("places", [(1, 2, 3), (1, 2)])
@pytest.mark.parametrize("architecture", ["decoder", "encoder-decoder"])
def test_strings_of_a_small_world_add_up_to_one_given_the_source(
    places: tuple[int, ...], architecture: str
) -> None:
    """The end is written too, and is no part of what is summed."""
    world = small_world()
    objective = Bart(architecture=architecture)
    text = strings(world, length=3)
    asked = asked_at(text, *places)
    scores = objective.score(small_net(world, encodes=objective.encodes), text, world, asked)
    totals = total_by_rest(text, asked, scores)
    assert list(totals.values()) == pytest.approx([1.0] * len(totals), abs=1e-5)


def test_one_stack_reads_and_writes_the_same_tokens(text: Text, vocab: Vocab) -> None:
    two = corrupt(Bart(), text, vocab)
    one = corrupt(Bart(architecture="decoder"), text, vocab)
    size = source(two).tokens.shape[1]
    assert one.source is None
    assert torch.equal(one.tokens, torch.cat([source(two).tokens, two.tokens], dim=1))
    assert torch.equal(one.target[:, size:], two.target)
    assert (one.target[:, :size] == IGNORE).all()
    assert (one.order[:, :size] == 0).all()
    assert (one.order[:, size:] > 0).all()
    assert (one.order[:, size + 1 :] > one.order[:, size:-1]).all()


def test_blocks_without_noise_are_refused(vocab: Vocab) -> None:
    with pytest.raises(UserError, match="damages none of the 1 tokens"):
        Bart().require(vocab, length=2)
    Bart(noise="none", rotate=True).require(vocab, length=2)


def test_clean_text_is_read_by_both_stacks(vocab: Vocab, text: Text) -> None:
    """An encoder sees it from both sides, its decoder has written it; one stack sees both sides."""
    two = Bart().read(text, vocab)
    assert two.source is not None
    assert torch.equal(two.source.tokens, text.tokens)
    assert torch.equal(two.tokens, text.tokens)
    assert (two.source.order == 0).all()
    assert two.hint == "causal"
    one = Bart(architecture="decoder").read(text, vocab)
    assert one.source is None
    assert (one.order == 0).all()
