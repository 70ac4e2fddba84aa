"""All arms are asked about the same tokens."""

import math
from pathlib import Path

import numpy as np
import pytest

from lmcompare.config.run import parse_data
from lmcompare.data import Encoded, Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.infilling.hidden_texts import HIDDEN, SHORTEST
from lmcompare.runs.run import Run
from tests.evaluation.infilling.asking import SHARES, ask, ask_all, drawn, items, other
from tests.tiny import Trainer, sentences, tiny


def test_all_arms_are_asked_for_the_same_tokens(trained: dict[str, Run], cache: Path) -> None:
    facts = ("text", "hidden", "num_texts", "num_tokens", "num_bytes", "unigram_nats", "length")
    for form in ("told", "untold"):
        of_all = [ask_all(run, cache, protocols=("in-order",)) for run in trained.values()]
        asked = [
            [each.model_dump(include=set(facts)) for each in records if each.form == form]
            for records in of_all
        ]
        assert len(asked[0]) == len(HIDDEN)
        assert all(each == asked[0] for each in asked)
    assert len({record["text"] for record in asked[0]}) == 1
    counts = {
        name: [(item.num_bytes, item.num_tokens) for item in items(run, ask(run, cache, "50%")[0])]
        for name, run in trained.items()
    }
    assert all(each == counts["clm"] for each in counts.values())


@pytest.mark.parametrize("num_tokens", [8, 9, 11, 13, 19, 32])
def test_as_much_is_hidden_as_is_said(
    trained: dict[str, Run], cache: Path, tmp_path: Path, num_tokens: int
) -> None:
    text = other(tmp_path, *(letter * num_tokens for letter in "abc"))
    _, texts = drawn(trained["clm"], cache, **text)
    for hidden, mask in texts.hidden.items():
        num = num_tokens // 2 if hidden == "second half" else round(SHARES[hidden] * num_tokens)
        assert mask.sum(1).tolist() == [max(1, num)] * 3
        assert not mask[:, 0].any(), "the start token"
    first = num_tokens - num_tokens // 2
    assert (
        texts.hidden["second half"][:, 1:].tolist()
        == [[False] * first + [True] * (num_tokens // 2)] * 3
    )
    assert len({tuple(row) for row in texts.hidden["50%"].tolist()}) == 3, "drawn for each text"


def test_positions_depend_on_the_text_alone(
    trained: dict[str, Run], cache: Path, corpus: Path, train: Trainer
) -> None:
    (record,) = ask(trained["clm"], cache, "15%")
    another = train(tiny(corpus, "mlm", "seed=3", "budget=1 steps", "batch.rows=2"))
    assert ask(another, cache, "15%")[0].text == record.text
    assert ask(another, cache, "15%", length=16)[0].text != record.text
    assert ask(another, cache, "15%", num_texts=4)[0].text != record.text
    assert ask(another, cache, "15%", split="test")[0].text != record.text


def test_more_texts_are_the_same_ones_and_others(trained: dict[str, Run], cache: Path) -> None:
    (_, few), (_, more) = (drawn(trained["clm"], cache, num_texts=num) for num in (3, 7))
    assert few.rows.tokens.equal(more.rows.tokens[:3, : few.rows.tokens.shape[1]])
    for hidden, mask in few.hidden.items():
        assert mask.equal(more.hidden[hidden][:3, : mask.shape[1]])


def encoded(first: int, length: int) -> Encoded:
    """A document whose tokens count on from a first one."""
    ids = np.arange(first, first + length)
    return Encoded(ids=ids, bytes=np.ones_like(ids), starts_word=ids % 3 == 0)


def test_pieces_come_from_every_document_and_share_no_token(trained: dict[str, Run]) -> None:
    tokenizer = Tokenizer.load(trained["clm"].tokenizer_file)
    start = int(tokenizer.vocab.regular[0])
    documents = [
        encoded(start, 70),
        encoded(start + 100, 7),  # too short
        encoded(start + 110, 11),
        encoded(start + 130, 35),  # with a rest that is too short
    ]
    found = heldout_text.pieces(documents, tokenizer, 16, shortest=SHORTEST)
    pieces = [piece.ids.tolist() for piece in found]
    of = [
        next(number for number, each in enumerate(documents) if piece[0] in each.ids)
        for piece in pieces
    ]
    assert of == [0, 2, 3, 0, 3, 0, 0], "one of each, then a second one of each, ..."
    tokens = [token for piece in pieces for token in piece]
    assert len(set(tokens)) == len(tokens)
    assert sorted(map(len, pieces)) == [11, 16, 16, 16, 16, 16, 16]
    assert pieces[0][0] != start or pieces[2][0] != start + 130, "not all from the beginning"


def test_unknown_tokens_are_no_text(train: Trainer, cache: Path, tmp_path: Path) -> None:
    known = tmp_path / "words.txt"
    known.write_text(sentences(900).replace("café", "cafe"))
    run = train(tiny(known, "clm", "tokenizer.kind=characters", "budget=1 steps"))
    text = other(tmp_path, "жthe жcat ran", "жжжжжжthe cat", "the ca жжжж")
    _, texts = drawn(run, cache, **text)
    assert texts.rows.visible.sum().item() == 1 + len("жthe жcat ran"), "7 tokens are too few"
    (record,) = ask(run, cache, "50%", **text)
    assert (record.num_texts, record.num_tokens) == (1, round(0.5 * len("the cat ran")))
    assert math.isfinite(record.unigram_nats)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"num_texts": 0}, "0 texts leave nothing to ask: choose `texts=1` or more"),
        ({"num_texts": -1}, "-1 texts leave nothing"),
        ({"length": 2}, "texts of 2 tokens are too short .* choose `length=8` or more"),
        ({"length": 0}, "texts of 0 tokens"),
        ({"device": "banana"}, "there is no device 'banana'"),
        ({"data": parse_data({"source": "nowhere.txt"})}, r"no file, folder or match for 'nowhere"),
    ],
)
def test_what_cannot_be_asked(
    trained: dict[str, Run], cache: Path, asked: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        ask(trained["clm"], cache, **asked)


def test_texts_that_are_too_short(trained: dict[str, Run], cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"other\.txt has no document of 8 tokens or more"):
        ask(trained["clm"], cache, **other(tmp_path, "short", "too", "little"))
    with pytest.raises(UserError, match="is empty"):
        ask(trained["clm"], cache, **other(tmp_path, " "))


def test_fewer_texts_than_wanted(trained: dict[str, Run], cache: Path, tmp_path: Path) -> None:
    (record,) = ask(trained["clm"], cache, "50%", **other(tmp_path, "x" * 40, "y" * 9), length=10)
    assert record.num_texts == 5, "the rest of ten does not count, nor does it fail"
    (record,) = ask(trained["clm"], cache, "50%", **other(tmp_path, "x" * 9), length=10)
    assert (record.num_texts, record.num_tokens) == (1, 4)
