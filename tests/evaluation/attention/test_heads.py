"""What heads are said to be like is what their weights are; and causal is exactly so."""

import math

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.evaluation.attention.heads import MEASURES, measured
from lmcompare.evaluation.attention.maps import layer_by_layer
from lmcompare.evaluation.states.reading import ways_to_read
from lmcompare.evaluation.windows import Window, stack
from lmcompare.objectives import OBJECTIVES, Clm, Objective, parse_objective
from lmcompare.view import Text, View
from tests.evaluation.attention.attending import Attending
from tests.untrained import contestant, subject_of

LENGTH, PADDING = 7, 2  # of a row, the start token included; further positions behind it
ALL = [parse_objective(name) for name in OBJECTIVES]


def rows(num: int = 3) -> tuple[Text, torch.Tensor]:
    """Return rows of a text, and the positions that are asked about."""
    tokens = torch.arange(LENGTH + PADDING).expand(num, -1)
    visible = (torch.arange(LENGTH + PADDING) < LENGTH).expand(num, -1)
    asked = visible.clone()
    asked[:, 0] = False
    return Text(tokens=tokens, visible=visible, word=tokens), asked


def values(weights: torch.Tensor, view: View, asked: torch.Tensor) -> dict[str, list[float]]:
    found = measured(weights, view.sees(), asked)
    assert found.shape == (len(weights), len(MEASURES), weights.shape[1])
    assert torch.equal(found, found[:1].expand_as(found)), "all rows are alike"
    return dict(zip(MEASURES, found[0].tolist(), strict=True))


def test_equal_weights_have_the_largest_entropy() -> None:
    text, asked = rows()
    view = View.bidirectional(text.tokens, visible=text.visible)
    weights = view.sees().float()[:, None] / LENGTH
    found = values(weights, view, asked)
    places = range(1, LENGTH)
    assert found["entropy"] == [pytest.approx(math.log(LENGTH))]
    assert found["entropy_share"] == [pytest.approx(1)]
    far = [sum(abs(i - j) for j in range(LENGTH)) / LENGTH for i in places]
    assert found["distance"] == [pytest.approx(sum(far) / len(far))]
    assert found["left"] == [pytest.approx(sum(i / LENGTH for i in places) / len(places))]
    right = sum((LENGTH - 1 - i) / LENGTH for i in places) / len(places)
    assert found["right"] == [pytest.approx(right)]
    assert found["self"] == found["first"] == [pytest.approx(1 / LENGTH)]


def test_equal_weights_of_a_causal_model_have_the_largest_that_it_can_have() -> None:
    text, asked = rows()
    view = View.causal(text.tokens, visible=text.visible)
    sees = view.sees().float()
    weights = (sees / sees.sum(2, keepdim=True))[:, None]
    found = values(weights, view, asked)
    mean = sum(math.log(1 + place) for place in range(1, LENGTH)) / (LENGTH - 1)
    assert found["entropy"] == [pytest.approx(mean)]
    assert found["entropy_share"] == [pytest.approx(1)]
    assert found["right"] == [0.0]


def test_each_head_by_itself() -> None:
    """One attends to the token before, one to the start, one to itself, one half to the next."""
    text, asked = rows()
    view = View.bidirectional(text.tokens, visible=text.visible)
    weights = torch.zeros(3, 4, LENGTH + PADDING, LENGTH + PADDING)
    for place in range(1, LENGTH):
        weights[:, 0, place, place - 1] = 1
        weights[:, 1, place, 0] = 1
        weights[:, 2, place, place] = 1
        weights[:, 3, place, min(place + 1, LENGTH - 1)] = 0.5
        weights[:, 3, place, 0] += 0.5
    found = values(weights, view, asked)
    num, half = LENGTH - 1, math.log(2)
    assert found["entropy"] == pytest.approx([0, 0, 0, half])
    assert found["entropy_share"] == pytest.approx([0, 0, 0, half / math.log(LENGTH)])
    start = sum(range(1, LENGTH)) / num
    assert found["distance"] == pytest.approx([1, start, 0, 0.5 * start + 0.5 * (num - 1) / num])
    assert found["left"] == pytest.approx([1, 1, 0, 0.5])
    assert found["right"] == pytest.approx([0, 0, 0, 0.5 * (num - 1) / num])
    assert found["self"] == pytest.approx([0, 0, 1, 0.5 / num])
    assert found["first"] == pytest.approx([1 / num, 1, 0, 0.5])


@pytest.mark.parametrize("objective", ALL, ids=lambda each: each.name)
@pytest.mark.parametrize("stack_", ["encoder", "decoder"])
def test_what_reads_from_the_left_has_exactly_nothing_on_the_right(
    objective: Objective, stack_: str, tokenizer: Tokenizer
) -> None:
    if stack_ == "decoder" and not objective.encodes:
        return
    subject = subject_of(objective, tokenizer)
    document, other = tokenizer.encode(["the old cat saw a dog under the tree", "a cat ran"])
    windows = [
        Window(document=number, start=0, stop=len(each), first=0, last=0)
        for number, each in enumerate((document, other))
    ]
    text, _ = stack(windows, [document, other], tokenizer.vocab)
    asked = text.visible.clone()
    asked[:, 0] = False
    for reading in ways_to_read(subject, stack_):  # type: ignore[arg-type]
        view = reading.view(text)
        sees = view.sees()
        found = layer_by_layer(subject, view, lambda weights, s=sees: measured(weights, s, asked))
        assert [*found] == [1, 2] or stack_ == "encoder"
        for own in found.values():
            each = dict(zip(MEASURES, own.unbind(1), strict=True))
            assert (each["right"] == 0).all() == (not sees.triu(1).any())
            sides = each["left"] + each["right"] + each["self"]
            torch.testing.assert_close(sides, torch.ones_like(sides), rtol=0, atol=1e-6)
            assert (each["entropy_share"] <= 1 + 1e-6).all()
            assert (each["first"] <= each["left"] + 1e-6).all()
    causal = {"clm", "fim"}
    if objective.name in causal or stack_ == "decoder":
        assert not sees.triu(1).any()


def test_the_weights_of_one_layer_are_forgotten_before_the_next(tokenizer: Tokenizer) -> None:
    net = Attending([lambda view: torch.ones(3, 2, 5, 5) / 5] * 4)
    model = contestant(net, Clm(), tokenizer)
    text, _ = rows()
    view = View.causal(text.tokens, visible=text.visible)
    assert layer_by_layer(model, view, lambda weights: weights.shape[1]) == dict.fromkeys(
        (1, 2, 3, 4), 2
    )
    assert net.num_kept_at_once == 0
