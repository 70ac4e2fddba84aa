"""Facts about masked language modelling (Devlin et al. 2019)."""

import pytest
import torch
from scipy.stats import chisquare

from lmcompare import rng
from lmcompare.errors import Unsupported
from lmcompare.model import Backbone
from lmcompare.objectives import Clm, Mlm
from lmcompare.objectives.corruption.noise import spans_at_rate
from lmcompare.view import IGNORE, Text
from lmcompare.vocab import Vocab
from tests.conftest import make_text, plain_text
from tests.objectives.cases import Spy


def big_text(vocab: Vocab) -> Text:
    choice = torch.randint(
        len(vocab.regular), (1000, 1001), generator=torch.Generator().manual_seed(5)
    )
    tokens = vocab.regular[choice]
    tokens[:, 0] = vocab.bos
    return plain_text(tokens, word=torch.arange(1001).expand_as(tokens))


def test_80_10_10_of_a_million_chosen_positions(vocab: Vocab) -> None:
    text = big_text(vocab)
    view = Mlm(rate=0.999).corrupt(text, vocab, rng.generator("test"))
    chosen = view.target != IGNORE
    old, new = text.tokens[chosen], view.tokens[chosen]
    num, num_words = len(old), len(vocab.regular)
    masked = int((new == vocab.mask).sum())
    kept = int((new == old).sum())
    observed = [masked, num - masked - kept, kept]
    # a random token is the old one once in V' times, and then looks kept
    changed = 0.1 * (1 - 1 / num_words)
    expected = [0.8 * num, changed * num, (0.2 - changed) * num]
    assert num > 990_000
    assert chisquare(observed, expected).pvalue > 1e-4


def test_rate(vocab: Vocab) -> None:
    text = big_text(vocab)
    for rate in (0.15, 0.4):
        view = Mlm(rate=rate).corrupt(text, vocab, rng.generator("test"))
        assert view.num_targets / 1e6 == pytest.approx(rate, abs=0.002)


def test_rate_moves_over_training(vocab: Vocab) -> None:
    text, objective = big_text(vocab), Mlm(rate=0.3, final_rate=0.1)
    for progress, rate in ((0.0, 0.3), (0.5, 0.2), (1.0, 0.1), (1.2, 0.1)):
        view = objective.corrupt(text, vocab, rng.generator("test"), progress=progress)
        assert view.num_targets / 1e6 == pytest.approx(rate, abs=0.002)


def test_random_tokens_are_text_and_all_of_it(vocab: Vocab) -> None:
    text = big_text(vocab)
    view = Mlm(rate=0.5, masked=0, random=1).corrupt(text, vocab, rng.generator("test"))
    new = view.tokens[view.target != IGNORE]
    assert not vocab.is_special(new).any()
    assert chisquare(torch.bincount(new, minlength=vocab.size)[vocab.regular]).pvalue > 1e-4


def test_where_nothing_is_predicted_nothing_is_changed(text: Text, vocab: Vocab) -> None:
    view = Mlm(rate=0.5).corrupt(text, vocab, rng.generator("test"))
    untouched = view.target == IGNORE
    assert torch.equal(view.tokens[untouched], text.tokens[untouched])


@pytest.mark.parametrize("select", ["word", "span"])
def test_pieces_of_a_word_are_chosen_together(vocab: Vocab, select: str) -> None:
    text = make_text(vocab, rows=101, length=89)
    view = Mlm(rate=0.3, select=select).corrupt(text, vocab, rng.generator("test"))
    chosen, text_tokens = view.target != IGNORE, ~vocab.is_special(text.tokens)
    same_word = (text.word[:, 1:] == text.word[:, :-1]) & text_tokens[:, 1:] & text_tokens[:, :-1]
    assert same_word.sum() > 1000
    assert torch.equal(chosen[:, 1:][same_word], chosen[:, :-1][same_word])
    assert chosen[text_tokens].float().mean() == pytest.approx(0.3, abs=0.02)


def test_spans_cover_at_the_rate_and_have_spanberts_lengths(vocab: Vocab) -> None:
    shape = (2000, 503)
    word = torch.arange(shape[1]).expand(shape)
    for rate in (0.15, 0.5):
        chosen = spans_at_rate(
            torch.ones(shape, dtype=torch.bool), word, rate, rng.generator("test")
        )
        assert chosen.float().mean() == pytest.approx(rate, abs=0.005)
        assert chosen[:, 0].float().mean() == pytest.approx(rate, abs=0.04), (
            "edges are no exception"
        )
    # at a low rate spans hardly meet, so that runs show the law
    chosen = spans_at_rate(torch.ones(shape, dtype=torch.bool), word, 0.01, rng.generator("test"))
    begins = (chosen[:, 1:] & ~chosen[:, :-1]).sum()
    at_least = 0.8 ** torch.arange(10.0)
    assert chosen.sum() / begins == pytest.approx(float(at_least.sum()), rel=0.03)


def test_pseudo_likelihood_hides_one_token_at_a_time(text: Text, vocab: Vocab) -> None:
    spy = Spy()
    asked = torch.zeros_like(text.tokens, dtype=torch.bool)
    asked[2, 1:] = True
    for scoring in ("pll", "pll-word"):
        spy.views.clear()
        Mlm().score(spy, text, vocab, asked, scoring=scoring)
        hidden = torch.cat([view.tokens == vocab.mask for view in spy.views])
        target = torch.cat([view.target != IGNORE for view in spy.views])
        assert torch.equal(target, torch.eye(text.tokens.shape[1], dtype=torch.bool)[1:])
        for row, place in target.nonzero().tolist():
            expected = [
                other == place
                or (
                    scoring == "pll-word"
                    and other > place
                    and text.word[2, other] == text.word[2, place]
                )
                for other in range(text.tokens.shape[1])
            ]
            assert hidden[row].tolist() == expected


def test_the_word_variant_differs_only_in_words_of_several_pieces(
    text: Text, vocab: Vocab, net: Backbone
) -> None:
    everything = torch.ones_like(text.tokens, dtype=torch.bool)
    plain = Mlm().score(net, text, vocab, everything, scoring="pll")
    word = Mlm().score(net, text, vocab, everything, scoring="pll-word")
    last_piece = torch.ones_like(everything)
    last_piece[:, :-1] = text.word[:, :-1] != text.word[:, 1:]
    torch.testing.assert_close(plain[last_piece], word[last_piece])
    special = vocab.is_special(text.tokens)
    assert not torch.isclose(plain, word)[~last_piece & ~special & ~special.roll(-1, 1)].any()


def test_an_unknown_scoring_is_answered_with_the_known_ones(
    text: Text, vocab: Vocab, net: Backbone
) -> None:
    with pytest.raises(Unsupported, match="clm cannot be scored by 'pll'"):
        Clm().score(net, text, vocab, text.tokens > 0, scoring="pll")


def test_shares_that_exceed_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to more than 1"):
        Mlm(masked=0.8, random=0.3)
