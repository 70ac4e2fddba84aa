"""Which tokens are asked for, and how what stands around them is changed."""

from pathlib import Path

import pytest

from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.context.options import ContextOptions
from lmcompare.evaluation.context.questions import AskedToken, ContextQuestions, TokenInContext
from lmcompare.objectives import Clm
from tests.evaluation.context.conftest import Knowing

QUESTION = AskedToken(
    row=TokenInContext(left=(14, 13, 12, 11), token=15, right=(16, 17, 18)),
    text=0,
    document=0,
    other=(31, 32, 33),
)


def test_a_row_is_read_from_left_to_right() -> None:
    assert QUESTION.row.ids == (11, 12, 13, 14, 15, 16, 17, 18)


def test_a_cut_side_is_a_shorter_text() -> None:
    assert QUESTION.changed("cut", "left", 0).ids == (15, 16, 17, 18)
    assert QUESTION.changed("cut", "left", 2).ids == (13, 14, 15, 16, 17, 18)
    assert QUESTION.changed("cut", "right", 1).ids == (11, 12, 13, 14, 15, 16)
    assert QUESTION.changed("cut", "right", 8) == QUESTION.row


def test_what_is_shuffled_stays_on_its_side_beyond_the_distance() -> None:
    for distance in (0, 1, 2):
        for side in ("left", "right"):
            found = QUESTION.changed("shuffled", side, distance)
            whole, changed = QUESTION.row.side(side), found.side(side)
            assert changed[:distance] == whole[:distance]
            assert sorted(changed) == sorted(whole)
            other = "right" if side == "left" else "left"
            assert found.side(other) == QUESTION.row.side(other)
            assert found == QUESTION.changed("shuffled", side, distance), "the same each time"
    long = QUESTION.row.with_side("left", tuple(range(41)))
    question = AskedToken(row=long, text=0, document=0)
    assert question.changed("shuffled", "left", 3) != long


def test_another_text_is_read_in_its_own_order() -> None:
    assert QUESTION.changed("replaced", "left", 1).ids == (31, 32, 33, 14, 15, 16, 17, 18)
    assert QUESTION.changed("replaced", "left", 0).ids == (31, 32, 33, 31, 15, 16, 17, 18)
    assert QUESTION.changed("replaced", "right", 1).ids == (11, 12, 13, 14, 15, 16, 31, 32)


def test_tokens_are_drawn_by_the_text_and_stand_in_the_middle(
    knowing: Knowing, tmp_path: Path
) -> None:
    model = knowing(Clm())
    options = ContextOptions(num_tokens=97, num_curve_tokens=3, reach=5)
    found = ContextQuestions.drawn(model, options, cache=tmp_path, warn=pytest.fail)
    documents = [
        each.ids.tolist()
        for each in heldout_text.documents(model, options, cache=tmp_path, warn=pytest.fail)
    ]
    special = model.tokenizer.vocab.specials
    for question in found.questions:
        document, ids = documents[question.document], list(question.row.ids)
        starts = [
            start
            for start in range(len(document))
            if document[start : start + len(ids)] == ids
            and len(question.row.left) == min(5, start + len(question.row.left))
        ]
        assert starts, "it is of that document"
        assert question.row.token not in special
        assert question.row.left
        assert question.row.right
        assert any(
            each.row.ids == question.other and each.document != question.document
            for each in found.questions
        )
    assert len({each.text for each in found.questions[:53]}) == 53, "no text twice while others are"
    again = ContextQuestions.drawn(model, options, cache=tmp_path, warn=pytest.fail)
    assert again == found


def test_the_first_questions_are_the_same_however_many_are_asked(
    knowing: Knowing, tmp_path: Path
) -> None:
    model = knowing(Clm())

    def drawn(num: int) -> ContextQuestions:
        options = ContextOptions(num_tokens=num, num_curve_tokens=3, reach=5)
        return ContextQuestions.drawn(model, options, cache=tmp_path, warn=pytest.fail)

    some, more = drawn(37), drawn(71)
    assert [each.row for each in more.questions[:37]] == [each.row for each in some.questions]
    assert some.digest != more.digest
