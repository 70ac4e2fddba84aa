"""The last word: what counts as said, and how a set of texts is made."""

from pathlib import Path

import pytest

from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation.span_scoring import Span, score_spans
from lmcompare.evaluation.tasks.base import Examples
from lmcompare.evaluation.tasks.cloze import Cloze, Passage, passages_of
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.objectives import OBJECTIVES, Clm, parse_objective
from tests.untrained import subject_of

TASK = Cloze(name="last", group="likelihood", files=("*.jsonl",))
PASSAGES = [
    Passage(number=0, before="the old dog saw a", word=" cat"),
    Passage(number=1, before="a tree", word=" slept"),
    Passage(number=2, before="the cat ran", word=" under"),
]


def said(model, passages=PASSAGES, done: frozenset[int] = frozenset()) -> list[TaskItem]:
    examples = Examples(test=passages)
    found = TASK.evaluate(model, examples, protocol="asked", done=done, report=lambda share: None)
    return [*found.items]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_asked(name: str, tokenizer: Tokenizer) -> None:
    """The word's probability is that of its tokens behind the text, however it is asked."""
    model = subject_of(parse_objective(name), tokenizer)
    examples = Examples(test=PASSAGES)
    found = TASK.evaluate(
        model, examples, protocol="asked", done=frozenset({1}), report=lambda share: None
    )
    items = [*found.items]
    assert [item.item for item in items] == [0, 2]
    parts = [Span(before=each.before, text=each.word) for each in PASSAGES]
    verdicts = score_spans(model, parts, found.scoring)
    for item in items:
        assert item.figures["nats"] == pytest.approx(verdicts[item.item].nats, rel=1e-5)
        assert item.figures["nats"] > 0
    assert TASK.figures(items)["nats a word"] == pytest.approx(
        (verdicts[0].nats + verdicts[2].nats) / 2, rel=1e-5
    )


def test_a_word_is_said_where_all_of_its_tokens_are_written(tokenizer: Tokenizer) -> None:
    (whole,) = tokenizer.encode(["the old dog saw a cat"])
    (before,) = tokenizer.encode(["the old dog saw a"])
    word = whole.ids[len(before) :].tolist()
    assert len(word) > 1
    wanted = subject_of(Clm(), tokenizer, script=word)
    assert [item.score for item in said(wanted, PASSAGES[:1])] == [1]
    half = subject_of(Clm(), tokenizer, script=[word[0], word[0]])
    assert [item.score for item in said(half, PASSAGES[:1])] == [0]


def test_batches_change_nothing(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = subject_of(Clm(), tokenizer)
    together = said(model)
    monkeypatch.setattr("lmcompare.evaluation.tasks.cloze.AT_ONCE", 2)
    monkeypatch.setattr("lmcompare.evaluation.greedy.ROWS_AT_ONCE", 1)
    for one, two in zip(together, said(model), strict=True):
        assert (one.item, one.score) == (two.item, two.score)
        assert one.figures["nats"] == pytest.approx(two.figures["nats"], rel=1e-5)


def test_texts_longer_than_the_rows_lose_their_beginning(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    long = Passage(number=0, before="the old dog saw a cat " * 9 + "a tree", word=" slept")
    found = TASK.evaluate(
        model,
        Examples(test=[long]),
        protocol="asked",
        done=frozenset(),
        report=lambda share: None,
    )
    (item,) = found.items
    assert dict(found.counts) == {"texts cut at their beginning": 1}
    assert item.figures["tokens"] == len(tokenizer.encode([" slept"])[0])


def test_texts_are_cut_before_their_last_word(tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(
        '{"text": "the old cat"}\n{"text": "él vio a José"}\n', "utf-8"
    )
    assert [(each.before, each.word) for each in TASK.read(tmp_path).test] == [
        ("the old", " cat"),
        ("él vio a", " José"),
    ]
    (tmp_path / "texts.jsonl").write_text('{"text": "one"}\n', "utf-8")
    with pytest.raises(UserError, match="line 1: 'one' is one word, with nothing before it"):
        TASK.read(tmp_path)
    (tmp_path / "texts.jsonl").write_text("", "utf-8")
    with pytest.raises(UserError, match="has no text in"):
        TASK.read(tmp_path)


def test_a_set_is_made_of_any_text() -> None:
    texts = [
        'He saw it. "No," said Mr. Smith. They all went home again! And then 1914.',
        "She ran to the old house. It was empty. Nobody had been there for years.",
        "Too short.",
    ]
    found = [*passages_of(texts, num=9, words=5)]
    of_each = [
        {'He saw it. "No," said Mr. Smith', "They all went home again"},
        {"She ran to the old house", "It was empty. Nobody had been there for years"},
    ]
    assert [{found[0], found[2]}, {found[1], found[3]}] == of_each, "of each one, then another"
    assert [*passages_of(texts, num=2, words=5)] == found[:2]
    assert not [*passages_of(texts, num=9, words=50)]
