"""Facts about masked diffusion (Sahoo et al. 2024, MDLM; LLaDA)."""

from itertools import combinations, permutations
from math import comb

import pytest
import torch
from scipy.stats import chi2

from lmcompare import rng
from lmcompare.model import Backbone
from lmcompare.objectives import Mdlm
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Candidates, Vocab
from tests.conftest import plain_text
from tests.objectives.cases import (
    Spy,
    alike,
    asked_at,
    messy,
    numbered,
    small_net,
    small_world,
    strings,
    total_by_rest,
    vocab_of,
)

WORDS = vocab_of(1201)


def corrupt(text: Text, seed: int = 0, *, least_time: float = 1e-3) -> View:
    objective = Mdlm(least_time=least_time)
    return objective.corrupt(text, WORDS, rng.generator("test", seed))


def times(view: View, num_tokens: int) -> torch.Tensor:
    """Of each row, by the weight of what is hidden, 1 / (t x number of all tokens)."""
    return 1 / (view.weight.amax(1).double() * num_tokens)


def test_what_is_hidden_is_the_mask_and_nothing_else_is_changed() -> None:
    text = messy(WORDS, rows=53, length=97)
    view = corrupt(text)
    hidden = view.target != IGNORE
    assert hidden.any()
    assert (view.tokens[hidden] == WORDS.mask).all()
    assert torch.equal(view.tokens[~hidden], text.tokens[~hidden])
    assert torch.equal(view.target[hidden], text.tokens[hidden])
    assert (view.weight[~hidden] == 0).all(), "what is shown carries no loss"
    assert (view.order == 0).all()


def test_times_are_one_in_each_stratum_and_uniform_within() -> None:
    rows, length = 17, 1009
    text = numbered(WORDS, rows=rows, length=length)
    within = []
    for seed in range(59):
        time = times(corrupt(text, seed), rows * (length - 1))
        draw = (time - 1e-3) / (1 - 1e-3) * rows
        assert torch.equal(draw[1:].floor(), torch.arange(1.0, rows).double())
        within.append(draw[1:] % 1)  # a row of the first stratum may have nothing hidden
    assert alike(torch.histc(torch.cat(within).float(), bins=11, min=0, max=1))


def test_no_time_is_below_the_least() -> None:
    text = numbered(WORDS, rows=1, length=1009)
    found = torch.cat([times(corrupt(text, seed, least_time=0.4), 1008) for seed in range(211)])
    assert 0.4 < found.min() < 0.42
    assert 0.98 < found.max() <= 1


def test_a_token_is_hidden_with_probability_t() -> None:
    """So that probability times weight is constant: one over the number of all tokens."""
    rows, length = 97, 1009
    view = corrupt(numbered(WORDS, rows=rows, length=length))
    time = times(view, rows * (length - 1))[1:]
    hidden = (view.target != IGNORE).sum(1)[1:]
    mean, variance = 1008 * time, 1008 * time * (1 - time)
    statistic = float(((hidden - mean) ** 2 / variance).sum())
    assert 1e-4 < chi2.cdf(statistic, rows - 1) < 1 - 1e-4


def test_weights_are_over_all_tokens_not_over_hidden_ones() -> None:
    """In the mean over steps each token weighs one over their number; specials weigh nothing."""
    text = messy(WORDS, rows=7, length=41)
    candidates = ~WORDS.is_special(text.tokens)
    weights = torch.stack([corrupt(text, seed, least_time=0.1).weight for seed in range(997)])
    assert (weights[:, ~candidates] == 0).all()
    by_token = weights.double().mean(0)[candidates] * candidates.sum()
    # the variance of one draw is E[1/t] - 1 < 10
    assert (by_token - 1).abs().max() < 5 * (10 / 997) ** 0.5
    assert float(by_token.mean()) == pytest.approx(1, abs=0.01)


def test_the_network_is_not_told_the_time() -> None:
    view = corrupt(numbered(WORDS, rows=7, length=41))
    assert view.within is None
    assert torch.equal(view.position, torch.arange(41).expand(7, 41))
    assert view.tokens.shape == (7, 41)


class Table:
    """What a network says to a text of four tokens, for each set of hidden ones."""

    def __init__(self, net: Backbone, text: Text, vocab: Vocab):
        self.mask = vocab.mask
        subsets = torch.arange(16)[:, None] >> torch.arange(4) & 1 == 1
        hidden = torch.cat([torch.zeros(16, 1, dtype=torch.bool), subsets], dim=1)
        tokens = text.tokens.expand(16, 5)
        view = View.bidirectional(
            tokens.masked_fill(hidden, vocab.mask), visible=text.visible.expand(16, 5)
        ).predicting(tokens.masked_fill(~hidden, IGNORE), hidden.float())
        self.scores = net.log_prob(view)

    def log_prob(self, view: View, *, among: None = None) -> torch.Tensor:
        bits = (view.tokens[:, 1:] == self.mask).long() @ (2 ** torch.arange(4))
        return self.scores[bits].where(view.target != IGNORE, 0.0)

    def logits(self, view: View, wanted: torch.Tensor) -> torch.Tensor:
        raise AssertionError("scores are all there is")

    def of(self, hidden: tuple[int, ...]) -> torch.Tensor:
        """The log-probability of each place, 1 to 4, with these hidden."""
        return self.scores[sum(2 ** (place - 1) for place in hidden)].double()


@pytest.fixture
def four(vocab: Vocab) -> Text:
    tokens = torch.tensor([[vocab.bos, *vocab.regular[[5, 17, 29, 2]].tolist()]])
    return plain_text(tokens, word=torch.arange(5)[None])


@pytest.fixture
def table(net: Backbone, four: Text, vocab: Vocab) -> Table:
    return Table(net, four, vocab)


def over_subsets(table: Table) -> float:
    """The bound: a mean over numbers of hidden tokens, and over all sets of that number."""
    return sum(
        float(table.of(hidden)[list(hidden)].sum()) / k / comb(4, k)
        for k in range(1, 5)
        for hidden in combinations(range(1, 5), k)
    )


def test_the_bound_is_the_mean_over_all_orders(table: Table) -> None:
    orders = [
        sum(float(table.of(order[step:])[order[step]]) for step in range(4))
        for order in permutations(range(1, 5))
    ]
    assert over_subsets(table) == pytest.approx(sum(orders) / 24, rel=1e-5)
    mixture = torch.tensor(orders).logsumexp(0) - torch.tensor(24.0).log()
    assert over_subsets(table) < float(mixture), "and so a bound on their mixture"


def test_the_estimate_of_the_bound_is_unbiased(table: Table, four: Text, vocab: Vocab) -> None:
    """And of lower variance than as many independent draws."""
    asked = asked_at(four, 1, 2, 3, 4)
    found = torch.tensor(
        [
            float(Mdlm().score(table, four, vocab, asked, replicate=replicate).sum())
            for replicate in range(151)
        ]
    )
    error = float(found.std()) / 151**0.5
    assert float(found.mean()) == pytest.approx(over_subsets(table), abs=3 * error)
    single = [
        (float(table.of(hidden)[list(hidden)].sum()) * 4 / k, 1 / 4 / comb(4, k))
        for k in range(1, 5)
        for hidden in combinations(range(1, 5), k)
    ]
    independent = sum(p * (x - over_subsets(table)) ** 2 for x, p in single) / 8
    assert float(found.var()) < independent


def test_the_estimate_given_the_rest_is_unbiased(table: Table, four: Text, vocab: Vocab) -> None:
    """Of two tokens: both orders, with the other two always shown."""
    asked = asked_at(four, 1, 3)
    exact = float(table.of((1, 3))[[1, 3]].sum() + table.of((1,))[1] + table.of((3,))[3]) / 2
    found = torch.tensor(
        [
            float(Mdlm().score(table, four, vocab, asked, replicate=replicate).sum())
            for replicate in range(101)
        ]
    )
    error = float(found.std()) / 101**0.5
    assert float(found.mean()) == pytest.approx(exact, abs=3 * error)


def test_the_training_loss_is_the_bound_in_the_mean(table: Table, four: Text, vocab: Vocab) -> None:
    rows = 20_011
    text = plain_text(four.tokens.repeat(rows, 1), word=four.word.repeat(rows, 1))
    view = Mdlm().corrupt(text, vocab, rng.generator("test"))
    losses = -(table.log_prob(view) * view.weight).double().sum(1) * rows
    error = float(losses.std()) / rows**0.5
    assert float(losses.mean()) == pytest.approx(-over_subsets(table) / 4, abs=4 * error)


def test_an_estimate_hides_exactly_k_of_what_is_asked() -> None:
    """One forward pass for each eighth of the numbers; the weight of k of n is n / k."""

    class Ones(Spy):
        def log_prob(self, view: View, *, among: Candidates | None = None) -> torch.Tensor:
            super().log_prob(view)
            return (view.target != IGNORE).float()

    spy, text = Ones(), numbered(WORDS, rows=3, length=41)
    asked = asked_at(text, *range(1, 33))
    scores = Mdlm().score(spy, text, WORDS, asked)
    torch.testing.assert_close(scores.sum(1), torch.full((3,), 32.0))
    for stratum, view in enumerate(spy.views):
        hidden = view.tokens == WORDS.mask
        assert torch.equal(hidden, view.target != IGNORE)
        assert not (hidden & ~asked).any(), "what is not asked is shown"
        assert ((hidden.sum(1) - 1) // 4 == stratum).all()
    assert len(spy.views) == 8


def test_an_estimate_is_that_of_its_replicate(text: Text, vocab: Vocab, net: Backbone) -> None:
    everything = torch.ones_like(text.visible)
    one, same, other = (
        Mdlm().score(net, text, vocab, everything, scoring="bound", replicate=replicate)
        for replicate in (3, 3, 4)
    )
    assert torch.equal(one, same)
    assert (one.sum(1) != other.sum(1)).all()


def test_unmasking_from_left_to_right_is_exact() -> None:
    """A token is asked with the earlier ones shown, and the later ones hidden that are asked."""
    spy, text = Spy(), numbered(WORDS, rows=1, length=9)
    Mdlm().score(spy, text, WORDS, asked_at(text, 2, 3, 6), scoring="left-to-right")
    rows = [(view, row) for view in spy.views for row in range(len(view.tokens))]
    expected = [[2, 3, 6], [3, 6], [6]]
    assert len(rows) == len(expected)
    for (view, row), hidden in zip(rows, expected, strict=True):
        assert view.tokens[row].eq(WORDS.mask).nonzero().flatten().tolist() == hidden
        assert view.target[row].ne(IGNORE).nonzero().flatten().tolist() == hidden[:1]


@pytest.mark.parametrize("places", [(1, 2, 3), (1, 3), (2,)])
def test_strings_of_a_small_world_add_up_to_one(places: tuple[int, ...]) -> None:
    """The mask is one of the words here, so that all ids are; what is hidden is the same."""
    world = small_world()
    text = strings(world, length=3)
    asked = asked_at(text, *places)
    scores = Mdlm().score(small_net(world), text, world, asked, scoring="left-to-right")
    totals = total_by_rest(text, asked, scores)
    assert len(totals) == 5 ** (3 - len(places))
    assert list(totals.values()) == pytest.approx([1.0] * len(totals), abs=1e-5)
