"""One hidden token of each text: the same for every objective, whose answer takes one pass."""

from pathlib import Path

import pytest
import torch

from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.objectives.clm import Clm
from lmcompare.runs.common_question import (
    LENGTH,
    TEXTS_A_BLOCK,
    CommonQuestion,
    given_to,
    scoring_of,
)
from lmcompare.training.trainer import read_text
from tests.tiny import tiny


def drawn(config: RunConfig, cache: Path) -> tuple[CommonQuestion, Prepared]:
    prepared = read_text(config, cache=cache)
    split = prepared.split("validation")
    return CommonQuestion.drawn(config, split, prepared.vocab), prepared


def test_it_depends_on_the_held_out_text_alone(corpus: Path, cache: Path) -> None:
    one, _ = drawn(tiny(corpus, "clm"), cache)
    others = ("seed=3", "batch.length=71", "batch.rows=7", "model.width=28")
    for objective, setting in zip(("mlm", "t5", "fim", "plm"), others, strict=True):
        other, _ = drawn(tiny(corpus, objective, setting), cache)
        assert torch.equal(one.texts.tokens, other.texts.tokens), setting
        assert torch.equal(one.hidden, other.hidden), setting


def test_one_token_of_text_is_hidden_of_each(corpus: Path, cache: Path) -> None:
    question, prepared = drawn(tiny(corpus, "clm", "validation.blocks=2"), cache)
    assert question.texts.tokens.shape == (2 * TEXTS_A_BLOCK, LENGTH)
    assert (question.hidden.sum(1) == 1).all()
    assert not prepared.vocab.is_special(question.texts.tokens[question.hidden]).any()
    assert len(question.hidden.int().argmax(1).unique()) > 9, "they stand anywhere"


def test_short_blocks_ask_about_short_texts(corpus: Path, cache: Path) -> None:
    question, _ = drawn(tiny(corpus, "clm", "batch.length=17"), cache)
    assert question.texts.tokens.shape[1] == 17


def test_the_answer_is_what_the_model_says_of_these_tokens(corpus: Path, cache: Path) -> None:
    config = tiny(corpus, "clm")
    question, prepared = drawn(config, cache)
    net = Backbone(config.model, vocab_size=prepared.vocab.size, seed=0).eval()
    log_prob = Clm().score(net, question.texts, prepared.vocab, question.hidden)
    expected = -float(log_prob[question.hidden].double().mean())
    for rows in (1, 7, 100):
        found = question.answer(Clm(), net, prepared.vocab, rows_at_once=rows)
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_answers_by_a_probability_and_in_one_pass(
    corpus: Path, cache: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(corpus, name, "validation.blocks=2")
    question, prepared = drawn(config, cache)
    scoring = scoring_of(config.objective)
    assert scoring is not None
    assert config.objective.scorings[scoring].likelihood_of(1) == "exact"
    net = Backbone(config.model, vocab_size=prepared.vocab.size, seed=0).eval()
    asked: list[int] = []
    plain = net.log_prob

    def counted(view: object, **options: object) -> torch.Tensor:
        asked.append(len(view.tokens))  # type: ignore[attr-defined]
        return plain(view, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(net, "log_prob", counted)
    found = question.answer(config.objective, net, prepared.vocab, rows_at_once=11)
    assert found is not None
    assert found == pytest.approx(torch.tensor(float(prepared.vocab.size)).log(), abs=1.0)
    assert asked == [11, 5]


def test_both_sides_are_used_where_they_can_be() -> None:
    found = {name: given_to(parse_objective(name)) for name in OBJECTIVES}
    left = {name for name, given in found.items() if given == "left"}
    assert left == {"clm", "prefix", "hybrid"}  # hybrid is judged by its causal part
    assert scoring_of(parse_objective("hybrid")) == "causal"
    assert given_to(parse_objective({"name": "hybrid", "judge": 1})) == "both"
    assert given_to(parse_objective({"name": "mntp", "direction": "left"})) == "left"


def test_what_training_never_showed_is_the_last_resort() -> None:
    assert scoring_of(parse_objective("fim")) == "given-length"
    assert scoring_of(parse_objective({"name": "fim", "rate": 0.0})) == "causal"
    assert scoring_of(parse_objective({"name": "fim", "rate": 1.0})) == "given-length"
