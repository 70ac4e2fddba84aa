"""What we export comes back as a network that says what ours says."""

from pathlib import Path

import pytest
import torch

from lmcompare.huggingface import load_hf
from lmcompare.objectives.decoding.fill_request import FillRequest
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run
from tests.huggingface.exports import EXPORTABLE
from tests.huggingface.models import text_of

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
NAMES = [
    name if name in ("clm", "mlm") else pytest.param(name, marks=pytest.mark.slow)
    for name in EXPORTABLE
]


@pytest.mark.parametrize("name", NAMES)
def test_scores(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    ours = load_model(runs[name], device="cpu", warn=pytest.fail)
    theirs = load_hf(f"hf:{exported[name]}")
    vocab = theirs.tokenizer.vocab
    assert theirs.objective == ours.objective
    assert theirs.length == ours.length
    assert vocab.roles == ours.tokenizer.vocab.roles
    assert (vocab.sentinels, vocab.specials) == (
        ours.tokenizer.vocab.sentinels,
        ours.tokenizer.vocab.specials,
    )
    assert not theirs.facts.rules
    text = text_of(vocab, 21, 7, 13)
    for scoring, how in ours.objective.scorings.items():
        mask = text.visible & (text.word > 4)
        if how.weighs_all or how.exact_alone:
            mask &= text.word == 5
        expected = ours.objective.score(ours.net, text, vocab, mask, scoring=scoring)
        found = ours.objective.score(theirs.net, text, vocab, mask, scoring=scoring)
        assert expected[mask].abs().min() > 0
        torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    ours = load_model(runs[name], device="cpu", warn=pytest.fail)
    theirs = load_hf(f"hf:{exported[name]}")
    vocab = ours.tokenizer.vocab
    text = text_of(vocab, 15, 9)
    length = text.visible.sum(1, keepdim=True)
    request = FillRequest(
        text=text,
        holes=text.visible & (torch.arange(15) >= length - 4),
        any_length=False,
        limit=4,
        sampler=Sampler(greedy=True),
        generators=(torch.Generator(), torch.Generator()),
    )
    found = ours.objective.fill(theirs.net, request, vocab)
    expected = ours.objective.fill(ours.net, request, vocab)
    for row in range(2):
        assert found.in_order(row) == expected.in_order(row)


@pytest.mark.parametrize("name", ["clm", pytest.param("mlm", marks=pytest.mark.slow)])
def test_what_is_read_in_it(runs: dict[str, Run], exported: dict[str, Path], name: str) -> None:
    ours = load_model(runs[name], device="cpu", warn=pytest.fail)
    theirs = load_hf(f"hf:{exported[name]}")
    view = ours.objective.read(text_of(ours.tokenizer.vocab, 11), ours.tokenizer.vocab)
    for (_, found), (_, expected) in zip(
        theirs.net.hidden_states(view), ours.net.hidden_states(view), strict=True
    ):
        torch.testing.assert_close(found, expected, **CLOSE)
    for (_, found), (_, expected) in zip(
        theirs.net.attention_maps(view), ours.net.attention_maps(view), strict=True
    ):
        torch.testing.assert_close(found, expected, **CLOSE)
    at = torch.tensor([6])
    torch.testing.assert_close(
        theirs.net.gradient_influence(view, at), ours.net.gradient_influence(view, at), **CLOSE
    )
