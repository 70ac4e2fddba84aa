"""What a head reads: poolings, stacks, standardised states."""

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported
from lmcompare.evaluation.supervised.pooling import (
    Head,
    PooledStates,
    poolings,
    which_stack,
)
from lmcompare.evaluation.supervised.spec import LabelledRow
from lmcompare.evaluation.windows import Window, stack
from lmcompare.objectives import OBJECTIVES, Bart, Clm, Mlm, Objective, parse_objective
from lmcompare.runs.loaded_model import LoadedModel
from tests.untrained import subject_of

ALL = [parse_objective(name) for name in OBJECTIVES]


def row_of(model: LoadedModel, text: str = "a cat saw a dog") -> LabelledRow:
    """All of it, then nothing."""
    (document,) = model.tokenizer.encode([text])
    return LabelledRow(document=document, spans=[range(1 + len(document))])


def states_of(model: LoadedModel, row: LabelledRow) -> torch.Tensor:
    """Of every position, as the network gives them."""
    whole = Window(document=0, start=0, stop=len(row.document), first=0, last=0)
    text, _ = stack([whole], [row.document], model.tokenizer.vocab)
    with torch.no_grad():
        view = model.objective.read(text, model.tokenizer.vocab)
        return model.net.states(view)[0]


def test_all_choose_from_one_list(tokenizer: Tokenizer) -> None:
    """What reads an encoder and a decoder has one more."""
    found = {each.name: poolings(subject_of(each, tokenizer), None) for each in ALL}
    assert found.pop("bart") == ("mean", "last", "first", "encoder")
    assert {*found.values()} == {("mean", "last", "first")}


def test_one_may_be_wanted_of_all(tokenizer: Tokenizer) -> None:
    assert poolings(subject_of(Clm(), tokenizer), "mean") == ("mean",)
    assert poolings(subject_of(Bart(), tokenizer), "encoder") == ("encoder",)
    with pytest.raises(Unsupported, match="clm has no encoder beside what is read"):
        poolings(subject_of(Clm(), tokenizer), "encoder")


@pytest.mark.parametrize("objective", ALL, ids=lambda given: given.name)
def test_states_are_pooled(objective: Objective, tokenizer: Tokenizer) -> None:
    model = subject_of(objective, tokenizer)
    row = row_of(model)
    states = states_of(model, row)
    for pooling, expected in (
        ("mean", states.mean(0)),
        ("last", states[-1]),
        ("first", states[0]),
    ):
        with torch.no_grad():
            # beside a longer row, so that there is padding
            found = PooledStates(model, model.net, pooling)([row, row_of(model, "a cat " * 5)])
        assert found.shape[0] == 2
        torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-5)


def test_spans_are_pooled_each_by_itself(tokenizer: Tokenizer) -> None:
    model = subject_of(Mlm(), tokenizer)
    whole = row_of(model)
    states = states_of(model, whole)
    row = LabelledRow(document=whole.document, spans=[range(1, 3), range(4, 5)])
    for pooling, expected in (
        ("mean", [states[1:3].mean(0), states[4]]),
        ("last", [states[2], states[4]]),
        ("first", [states[1], states[4]]),
    ):
        with torch.no_grad():
            found = PooledStates(model, model.net, pooling)([row])
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_an_encoder_is_read_beside_its_decoder(tokenizer: Tokenizer) -> None:
    model = subject_of(Bart(), tokenizer)
    row = row_of(model)
    whole = Window(document=0, start=0, stop=len(row.document), first=0, last=0)
    text, _ = stack([whole], [row.document], tokenizer.vocab)
    with torch.no_grad():
        source = model.objective.read(text, tokenizer.vocab).source
        expected = model.net.encode(source)[0].mean(0)
        (found,) = PooledStates(model, model.net, "encoder")([row])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_first_state_has_seen_the_text_unless_it_is_read_from_left_to_right(
    tokenizer: Tokenizer,
) -> None:
    for objective, same in ((Clm(), True), (Mlm(), False)):
        model = subject_of(objective, tokenizer)
        with torch.no_grad():
            rows = [row_of(model), row_of(model, "dog saw a tree and ran")]
            one, two = PooledStates(model, model.net, "first")(rows)
        assert torch.allclose(one, two, atol=1e-5) is same


def test_it_is_said_which_part_of_two_is_read(tokenizer: Tokenizer) -> None:
    """An encoder, unless the decoder writes whole texts."""
    found = {each.name: which_stack(subject_of(each, tokenizer)) for each in ALL}
    assert found.pop("bart") == {"states of": "the decoder"}
    for name in ("t5", "ul2"):
        assert found.pop(name) == {"states of": "the encoder"}
    assert not any(found.values()), "one stack has one kind of states"


def test_a_head_standardises_what_varies() -> None:
    draws = torch.Generator().manual_seed(3)
    states = 7 + 0.01 * torch.randn(101, 5, generator=draws)
    states[:, 2] = 3
    head = Head.standardising(states, 3)
    found = (states - head.mean) / head.scale
    assert found.mean(0).abs().max() < 1e-2
    assert found[:, [0, 1, 3, 4]].std(0, correction=0).tolist() == pytest.approx([1] * 4, abs=1e-3)
    assert found[:, 2].abs().max() < 1e-2, "what does not vary is not blown up"
    assert torch.equal(head(states), torch.zeros(101, 3))
