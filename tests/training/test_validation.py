"""What is asked about the validation text changes nothing of what is learned."""

from pathlib import Path

import pytest

from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.common_question import CommonQuestion
from tests.tiny import Trainer, assert_equal, outcome, tiny


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_common_question_is_answered_and_logged(
    corpus: Path, train: Trainer, objective: str
) -> None:
    lines = outcome(train(tiny(corpus, objective, "budget=2 steps"))).metrics
    assert all(line["common"] is not None and line["common"] > 0 for line in lines)


def test_it_is_asked_where_there_is_validation(corpus: Path, train: Trainer) -> None:
    lines = outcome(train(tiny(corpus, "clm", "budget=6 steps", "validation.times=3"))).metrics
    assert [line["step"] for line in lines if line["common"] is not None] == [2, 4, 6]
    none = outcome(train(tiny(corpus, "clm", "budget=2 steps", "validation.times=0"))).metrics
    assert [line["common"] for line in none] == [None, None]


@pytest.mark.parametrize("settings", [(), ("optimizer.ema=0.9",), ("runtime.threads=2",)])
def test_training_is_the_same_without_it(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    config = tiny(corpus, "mlm", "validation.times=10", *settings)
    asked = outcome(train(config))
    with monkeypatch.context() as patched:
        patched.setattr(CommonQuestion, "answer", lambda *_, **__: None)
        other = Trainer(train.folder.parent / "other", train.cache)
        silent = outcome(other(config))
    assert asked.tensors.keys() == silent.tensors.keys()
    assert all(each.equal(silent.tensors[name]) for name, each in asked.tensors.items())
    assert asked.loss == silent.loss
    assert asked.validation == silent.validation
    answers = [[line.pop("common") for line in each.metrics] for each in (asked, silent)]
    assert [sum(answer is not None for answer in each) for each in answers] == [10, 0]
    assert asked.metrics == silent.metrics


def test_an_interrupted_run_answers_the_same(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "t5", "validation.times=5", "optimizer.ema=0.9")
    whole = train(config)
    other = Trainer(train.folder.parent / "other", train.cache)
    stopped = other(config, stop_at=9)
    other(config, run=stopped)
    assert_equal(whole, stopped)
