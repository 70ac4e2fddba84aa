"""Facts about span corruption (Raffel et al. 2020, T5, section 3.1.4)."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from lmcompare import rng
from lmcompare.errors import Unsupported, UserError
from lmcompare.objectives import T5
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Vocab
from tests.objectives.cases import (
    Spy,
    alike,
    asked_at,
    decode,
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

WORDS = vocab_of(601)


def drawn(objective: T5, *, rows: int, length: int, seed: int = 0) -> View:
    """Of rows of so many tokens behind the start token."""
    text = numbered(WORDS, rows=rows, length=length + 1)
    return objective.corrupt(text, WORDS, rng.generator("test", seed))


def source(view: View) -> View:
    assert view.source is not None
    return view.source


def covered(view: View) -> torch.Tensor:
    """By row and token behind the start token: what was taken out of a `numbered` text."""
    out = torch.zeros(len(view.tokens), len(WORDS.regular) + 1, dtype=torch.bool)
    for row in range(len(out)):
        out[row, [place_of(WORDS, token) for token in written(view, row)]] = True
    return out[:, 1:]


@pytest.mark.parametrize(
    ("raw", "inputs", "targets"), [(568, 512, 114), (284, 256, 58), (141, 128, 29)]
)
def test_lengths_are_exact(raw: int, inputs: int, targets: int) -> None:
    """T5's source ends with an end token where ours begins with a start token."""
    view = drawn(T5(), rows=3, length=raw)
    assert source(view).tokens.shape == (3, inputs)
    assert source(view).visible.all()
    assert view.tokens.shape == (3, targets)
    assert (view.target != IGNORE).all()


@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9])
def test_numbers_of_tokens_and_spans_are_t5s(rate: float) -> None:
    for raw in [*range(2, 53), 97, 211]:
        num_noise = min(max(round(raw * rate), 1), raw - 1)
        num_spans = min(max(1, round(num_noise / 3)), raw - num_noise)
        view = drawn(T5(rate=rate), rows=2, length=raw)
        for row in range(2):
            sentinels = [token for token in written(view, row) if token in WORDS.sentinels]
            assert len(sentinels) == num_spans
            assert len(written(view, row)) == num_noise + num_spans + 1
            assert len(shown(source(view), row)) == 1 + raw - num_noise + num_spans


def test_gaps_and_spans_are_uniform_compositions() -> None:
    """Nine tokens, four of them in two spans: each of 4 x 3 ways as often."""
    view = drawn(T5(rate=0.45, mean_span=2), rows=6007, length=9)
    found: dict[tuple[bool, ...], int] = {}
    for row in covered(view)[:, :9].tolist():
        found[tuple(row)] = found.get(tuple(row), 0) + 1
    expected = {
        (False,) * a + (True,) * b + (False,) * (5 - a) + (True,) * (4 - b)
        for a, b in product(range(1, 5), range(1, 4))
    }
    assert found.keys() == expected
    assert alike([*found.values()])


def test_the_first_token_is_never_taken_and_the_last_always() -> None:
    out = covered(drawn(T5(), rows=1009, length=41))[:, :41]
    assert not out[:, 0].any()
    assert out[:, -1].all()


def test_rolled_spans_stand_anywhere() -> None:
    """One span of two among seven tokens: it begins at each of them as often, the last one too."""
    out = covered(drawn(T5(rate=2 / 7, mean_span=2, roll=True), rows=5003, length=7))[:, :7]
    assert (out.sum(1) == 2).all()
    begins = out & ~out.roll(1, dims=1)
    assert (begins.sum(1) == 1).all()
    assert alike(begins.sum(0))


def test_sentinels_count_down_from_the_top() -> None:
    view = drawn(T5(), rows=5, length=211)
    top = WORDS.size - 1
    for row in range(5):
        sentinels = [token for token in written(view, row) if token in WORDS.sentinels]
        assert sentinels == [top - number for number in range(len(sentinels))]
        assert [token for token in shown(source(view), row) if token > top - 101] == sentinels
        assert written(view, row)[0] == top


def test_the_decoder_reads_the_target_shifted_right() -> None:
    text = messy(WORDS, rows=53, length=41)
    view = T5(rate=0.3).corrupt(text, WORDS, rng.generator("test"))
    for row in range(53):
        target = written(view, row)
        assert view.tokens[row, : len(target)].tolist() == [WORDS.bos, *target[:-1]]
        assert (view.target[row, len(target) :] == IGNORE).all()
    assert view.hint == "causal"


@pytest.mark.parametrize("roll", [False, True])
def test_decoding_gives_the_text_back(roll: bool) -> None:
    """Five thousand rows each way, with specials that stay where they stand."""
    text = messy(WORDS, rows=5003, length=31)
    objective = T5(rate=0.4, mean_span=2, roll=roll)
    view = objective.corrupt(text, WORDS, rng.generator("test"))
    tokens, visible = text.tokens.tolist(), text.visible.sum(1).tolist()
    read, shows = source(view).tokens.tolist(), source(view).visible.sum(1).tolist()
    outputs = view.target.tolist()
    for row in range(5003):
        output = [token for token in outputs[row] if token != IGNORE]
        assert not {WORDS.bos, WORDS.require("unk")} & {*output}
        assert output.count(WORDS.eos) == 1
        assert decode(read[row][: shows[row]], output, WORDS) == tokens[row][: visible[row]]


def test_where_sentinels_run_out_spans_stay_in_the_source() -> None:
    few = replace(WORDS, sentinels=WORDS.sentinels[:2])
    text = numbered(few, rows=11, length=98)
    view = T5().corrupt(text, few, rng.generator("test"))
    for row in range(11):
        output = written(view, row)
        assert [token for token in output if token in WORDS.sentinels] == [*few.sentinels]
        assert decode(shown(source(view), row), output, few) == text.tokens[row].tolist()


def test_one_stack_reads_and_writes_the_same_tokens() -> None:
    """The source is a prefix that all see, the output follows it, causal."""
    text = messy(WORDS, rows=11, length=41)
    two = T5(rate=0.3).corrupt(text, WORDS, rng.generator("test"))
    one = T5(rate=0.3, architecture="decoder").corrupt(text, WORDS, rng.generator("test"))
    assert one.source is None
    size = source(two).tokens.shape[1]
    assert torch.equal(one.tokens, torch.cat([source(two).tokens, two.tokens], dim=1))
    assert torch.equal(one.target[:, size:], two.target)
    assert torch.equal(one.weight[:, size:], two.weight)
    assert (one.target[:, :size] == IGNORE).all(), "the source carries no loss"
    assert (one.order[:, :size] == 0).all()
    sees, before = one.sees(), source(two).visible
    for row in range(11):
        number = int(before[row].sum())
        for query in range(size):
            assert sees[row, query].nonzero().flatten().tolist() == [*range(number)]
        for query in range(len(written(two, row))):
            seen = [*range(number), *range(size, size + query + 1)]
            assert sees[row, size + query].nonzero().flatten().tolist() == seen
            assert one.position[row, size + query] == number + query, "no gap where padding is"


def test_an_output_is_asked_for_by_one_sentinel_for_each_hole() -> None:
    spy, text = Spy(), numbered(WORDS, rows=1, length=11)
    T5().score(spy, text, WORDS, asked_at(text, 2, 3, 7))
    (view,) = spy.views
    words, (first, second, *_) = text.tokens[0].tolist(), WORDS.sentinels
    assert shown(source(view), 0) == [*words[:2], first, *words[4:7], second, *words[8:]]
    fed = [WORDS.bos, first, words[2], words[3], second, words[7]]
    assert view.tokens[0].tolist()[-6:] == fed
    assert written(view, 0) == [words[2], words[3], words[7]], "how long a hole is, is told"


@pytest.mark.parametrize("places", [(1, 2, 3), (1, 3), (2, 3)])
@pytest.mark.parametrize("architecture", ["decoder", "encoder-decoder"])
def test_strings_of_a_small_world_add_up_to_one_given_the_source(
    places: tuple[int, ...], architecture: str
) -> None:
    world = small_world()
    objective = T5(architecture=architecture)
    text = strings(world, length=3)
    asked = asked_at(text, *places)
    scores = objective.score(small_net(world, encodes=objective.encodes), text, world, asked)
    totals = total_by_rest(text, asked, scores)
    assert len(totals) == 5 ** (3 - len(places))
    assert list(totals.values()) == pytest.approx([1.0] * len(totals), abs=1e-5)
    if len(places) < 3:
        assert scores.sum(1).unique().numel() > 5 ** len(places), "the source matters"


def test_more_holes_than_sentinels_are_refused() -> None:
    few = replace(WORDS, sentinels=WORDS.sentinels[:2])
    text = numbered(few, rows=1, length=11)
    T5().score(Spy(), text, few, asked_at(text, 2, 4))
    with pytest.raises(Unsupported, match="2 sentinels for the 3 holes"):
        T5().score(Spy(), text, few, asked_at(text, 2, 4, 6))


def test_blocks_that_do_not_fit_are_refused(vocab: Vocab) -> None:
    T5().require(vocab, length=129)
    with pytest.raises(UserError, match=r"8 spans .* 7 sentinels"):
        T5().require(vocab, length=165)
    with pytest.raises(UserError, match="takes 0 of the 3 tokens"):
        T5().require(vocab, length=4)
    with pytest.raises(UserError, match="fewer than one span of 3"):
        T5().require(vocab, length=14)


@pytest.mark.parametrize("architecture", ["encoder-decoder", "decoder"])
def test_clean_text_is_read_from_both_sides(architecture: str, vocab: Vocab, text: Text) -> None:
    """By the encoder alone: the decoder never wrote a text."""
    view = T5(architecture=architecture).read(text, vocab)
    assert view.source is None
    assert torch.equal(view.tokens, text.tokens)
    assert (view.order == 0).all()
