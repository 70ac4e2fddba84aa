"""Scores of models of theirs are those of minicons, where it has the method."""

from pathlib import Path

import pytest
import torch

from lmcompare.view import Text
from tests.huggingface.loaded import Both
from tests.huggingface.models import text_of

scorer = pytest.importorskip("minicons.scorer", reason="needs the extra: pip install .[bench]")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
LENGTHS = (9, 4, 13)


def asked(name: str, tmp_path: Path) -> tuple[Both, Text, list[str]]:
    found = Both.of(name, tmp_path / name)
    text = text_of(found.ours.tokenizer.vocab, *LENGTHS)
    rows = [text.tokens[row][text.visible[row]][1:] for row in range(len(LENGTHS))]
    return found, text, [found.tokenizer.decode(row) for row in rows]


def ours(found: Both, text: Text, scoring: str) -> torch.Tensor:
    vocab = found.ours.tokenizer.vocab
    assert found.ours.objective is not None
    return found.ours.objective.score(found.ours.net, text, vocab, text.visible, scoring=scoring)


@pytest.mark.parametrize("name", ["gpt2", "neox", "llama", "opt"])
def test_causal(name: str, tmp_path: Path) -> None:
    found, text, words = asked(name, tmp_path)
    theirs = scorer.IncrementalLMScorer(found.model, "cpu", tokenizer=found.tokenizer)
    puts_it = bool(found.ours.facts.config.model_type in ("llama", "opt"))
    tokens = theirs.token_score(words, **({} if puts_it else {"bos_token": True}))
    expected = ours(found, text, "causal")
    for row, scored in enumerate(tokens):
        values = [score for _, score in scored][-(LENGTHS[row] - 1) :]
        assert values == pytest.approx(expected[row][1 : LENGTHS[row]].tolist(), abs=1e-4)


@pytest.mark.parametrize("name", ["bert", "modernbert"])
@pytest.mark.parametrize(
    ("metric", "scoring"), [("original", "pll"), ("within_word_l2r", "pll-word")]
)
def test_masked(name: str, metric: str, scoring: str, tmp_path: Path) -> None:
    found, text, words = asked(name, tmp_path)
    theirs = scorer.MaskedLMScorer(found.model, "cpu", tokenizer=found.tokenizer, PLL_metric=metric)
    encoded = found.tokenizer(words, padding=True, return_tensors="pt")
    totals = theirs.sequence_score(encoded, reduction=lambda each: each.sum(0).item())
    expected = ours(found, text, scoring).sum(1)
    assert totals == pytest.approx(expected.tolist(), abs=1e-3)
