"""In how many passes masks are filled, and what comes in which of them."""

import math

import pytest
import torch

from lmcompare.generation.flop_counter import Meter
from lmcompare.model import Backbone
from lmcompare.objectives import Mdlm
from lmcompare.objectives.decoding.fill_request import DecodeStep, FillRequest
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.view import View
from lmcompare.vocab import Vocab
from tests.conftest import make_text, plain_text
from tests.objectives.cases import asked_at
from tests.objectives.worlds import pairs_of

NUM = 13


class Patient(Meter):
    """A model that is not asked for ever."""

    def logits(self, view: View, wanted: torch.Tensor) -> torch.Tensor:
        assert self.cost.passes < 1000, "it never ends"
        return super().logits(view, wanted)


class Steps:
    """What was written into 13 holes of a text, pass by pass."""

    def __init__(
        self, net: Backbone, vocab: Vocab, method: str, *, rows: int = 1, **settings
    ) -> None:
        text = plain_text(
            make_text(vocab, rows=5).tokens[2 : 2 + rows], word=torch.arange(23).repeat(rows, 1)
        )
        holes = asked_at(text, *range(5, 11), *range(13, 13 + NUM - 6))
        holes[1:, 7:] = False  # fewer in other rows
        meter, self.steps = Patient(net), list[DecodeStep]()
        request = FillRequest(
            text=text,
            holes=holes,
            any_length=False,
            limit=1,
            method=method,
            sampler=Sampler(**settings),
            generators=tuple(torch.Generator().manual_seed(row) for row in range(rows)),
            on_step=self.steps.append,
        )
        self.written = Mdlm().fill(meter, request, vocab)
        self.passes = meter.cost.passes
        self.places = [*holes[0].nonzero()[:, 0].tolist()]

    @property
    def sizes(self) -> list[int]:
        return [len(step.index) for step in self.steps]

    def assert_each_once(self) -> None:
        """And never a mask, and what was told is what was written."""
        told = [
            pair
            for step in self.steps
            for pair in zip(step.index.tolist(), step.token.tolist(), strict=True)
        ]
        assert sorted(told) == pairs_of(self.written)[0]
        assert [place for place, _ in sorted(told)] == self.places


@pytest.mark.parametrize("num_steps", [1, 2, 4, 5, 7, 13, 37])
def test_the_surest_come_first_in_no_more_than_the_given_passes(
    num_steps: int, net: Backbone, vocab: Vocab
) -> None:
    found = Steps(net, vocab, "surest-first", steps=num_steps)
    found.assert_each_once()
    each = math.ceil(NUM / num_steps)
    assert found.passes == len(found.sizes) == math.ceil(NUM / each)
    assert set(found.sizes[:-1]) <= {each}
    assert Steps(net, vocab, "ancestral", steps=num_steps).passes <= num_steps


def test_without_a_number_of_steps_one_token_comes_in_a_pass(net: Backbone, vocab: Vocab) -> None:
    for method, settings in [
        ("surest-first", {}),
        ("ancestral", {}),
        ("left-to-right", {}),
        ("threshold", {"threshold": 1.0}),
        ("entropy", {"entropy": 1e-9}),
    ]:
        found = Steps(net, vocab, method, **settings)
        found.assert_each_once()
        assert found.sizes == [1] * NUM
        assert found.passes == NUM


def test_in_any_number_of_steps_all_is_written(net: Backbone, vocab: Vocab) -> None:
    for num_steps in (2, 3, 5, 7):
        found = Steps(net, vocab, "ancestral", steps=num_steps)
        found.assert_each_once()
        assert 1 < len(found.sizes) <= found.passes <= num_steps


def test_passes_in_which_nothing_comes_are_left_out(net: Backbone, vocab: Vocab) -> None:
    found = Steps(net, vocab, "ancestral", rows=2, steps=1_000_000)
    assert found.passes <= NUM


def test_those_who_are_sure_enough_come_together(net: Backbone, vocab: Vocab) -> None:
    """And the surest one though it is not sure enough."""
    at_once = Steps(net, vocab, "threshold", threshold=1e-9, greedy=True)
    assert at_once.sizes == [NUM]
    sure = at_once.steps[0].probability
    for least in sure.sort().values[[0, NUM // 2, NUM - 2]].tolist():
        found = Steps(net, vocab, "threshold", threshold=least, greedy=True)
        found.assert_each_once()
        expected = at_once.steps[0].index[sure >= least]
        assert sorted(found.steps[0].index.tolist()) == sorted(expected.tolist())
        for step in found.steps:
            assert len(step.index) == 1 or (step.probability >= least).all()
        assert found.passes == len(found.sizes)


def test_the_surest_are_those_of_the_highest_probability(net: Backbone, vocab: Vocab) -> None:
    """Greedy, so that the first pass shows all of them: the four surest come first."""
    at_once = Steps(net, vocab, "threshold", threshold=1e-9, greedy=True).steps[0]
    first = Steps(net, vocab, "surest-first", steps=4, greedy=True).steps[0]
    ranked = at_once.index[at_once.probability.argsort(descending=True)]
    assert sorted(first.index.tolist()) == sorted(ranked[: math.ceil(NUM / 4)].tolist())


def test_entropies_are_bounded_together_but_for_the_last(net: Backbone, vocab: Vocab) -> None:
    """Ben-Hamu et al. 2025: the sum of all but the largest of a pass is within the bound."""
    text = make_text(vocab, rows=5).tokens[2:3]
    for bound in (0.1, 2.0, 11.0):
        found = Steps(net, vocab, "entropy", entropy=bound)
        found.assert_each_once()
        first = found.steps[0].index.tolist()
        masked = text.clone()
        masked[0, found.places] = vocab.mask
        wanted = torch.zeros_like(masked, dtype=torch.bool)
        wanted[0, found.places] = True
        view = View.bidirectional(masked, visible=torch.ones_like(wanted))
        law = torch.distributions.Categorical(logits=net.logits(view, wanted).double())
        entropy = dict(zip(found.places, law.entropy().tolist(), strict=True))
        ranked = sorted(entropy, key=entropy.__getitem__)
        num = sum(sum(entropy[each] for each in ranked[:size]) <= bound for size in range(NUM))
        assert sorted(first) == sorted(ranked[:num])
    assert 1 < len(first) < NUM


@pytest.mark.parametrize("num_rounds", [1, 2, 4, 10, 17])
def test_mask_predict_does_ever_fewer_over(num_rounds: int, net: Backbone, vocab: Vocab) -> None:
    """Ghazvininejad et al. 2019, section 4.1: in round t, N (T - t) / T of the N, rounded down."""
    found = Steps(net, vocab, "mask-predict", steps=num_rounds)
    again = [NUM * (num_rounds - t) // num_rounds for t in range(1, num_rounds)]
    again = [num for num in again if num]
    assert found.passes == 1 + len(again)
    assert found.sizes == [NUM, *(num for each in again for num in (each, each))]
    sure: dict[int, float] = {}
    for number, step in enumerate(found.steps):
        places = step.index.tolist()
        if number % 2:  # taken back: those that were least sure when they were written
            assert (step.token == vocab.mask).all()
            least = sorted(sure, key=sure.__getitem__)[: len(places)]
            assert sorted(places) == sorted(least)
        else:
            assert not vocab.is_special(step.token).any()
            sure |= dict(zip(places, step.probability.tolist(), strict=True))
    assert Steps(net, vocab, "mask-predict").passes == 10 - (NUM // 10 == 0), "rounds, if not said"


def test_blocks_share_the_steps(net: Backbone, vocab: Vocab) -> None:
    """Of five tokens each; the third is shorter."""
    found = Steps(net, vocab, "surest-first", block=5, steps=6)
    found.assert_each_once()
    assert found.sizes == [3, 2, 3, 2, 2, 1]
    firsts = [sorted(found.places).index(int(step.index.min())) // 5 for step in found.steps]
    assert firsts == [0, 0, 1, 1, 2, 2]
    found = Steps(net, vocab, "ancestral", block=5, steps=90)
    found.assert_each_once()
    assert max(found.sizes) < 3, "thirty passes for five tokens"


def test_chains_pass_once_for_each_token_of_each_round(net: Backbone, vocab: Vocab) -> None:
    found = Steps(net, vocab, "gibbs", steps=3)
    assert found.passes == 1 + 3 * NUM
    for number in range(3):
        part = found.steps[1 + number * NUM : 1 + (number + 1) * NUM]
        assert sorted(int(step.index) for step in part) == found.places


def test_rows_of_fewer_holes_wait_for_others(net: Backbone, vocab: Vocab) -> None:
    found = Steps(net, vocab, "surest-first", rows=2, steps=3)
    counts = [(step.row == 1).sum().item() for step in found.steps]
    assert counts == [1, 1, 0]
    assert found.passes == 3
