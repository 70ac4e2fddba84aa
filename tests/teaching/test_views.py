"""What is shown of an objective is a view that training makes, each part of a mixture once."""

from dataclasses import asdict
from itertools import zip_longest

import pytest

from lmcompare import rng
from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.objectives import OBJECTIVES, Hybrid, parse_objective
from lmcompare.objectives.hybrid import MixturePart
from lmcompare.teaching.slots import one_row
from lmcompare.teaching.views import DRAWS, Views, views_of
from lmcompare.view import IGNORE
from tests.teaching.conftest import TEXT


def test_every_objective_is_shown_and_each_part_of_a_mixture(views: Views) -> None:
    assert list(dict.fromkeys(view.objective for view in views.views)) == list(OBJECTIVES)
    parts = {view.objective: [] for view in views.views}
    for view in views.views:
        parts[view.objective].append(view.part)
    assert parts["hybrid"] == ["part 0: clm", "part 1: mntp"]
    assert parts["ul2"] == ["part 0", "part 1", "part 2"]
    assert all(found == [""] for name, found in parts.items() if name not in ("hybrid", "ul2"))
    assert not views.refused
    assert views.cut == ""


def test_the_matrices_are_those_of_the_view(views: Views, words: Tokenizer) -> None:
    row = one_row(TEXT, words)
    for shown in views.views:
        view = parse_objective(shown.objective).corrupt(
            row,
            words.vocab,
            rng.generator("corruption", 3, shown.draw),
            progress=1 - shown.draw / DRAWS,
        )
        expected = {"": view.sees()[0].tolist()}
        if view.source is not None:
            expected = {
                "source": view.source.sees()[0].tolist(),
                "output to source": view.sees_source()[0].tolist(),
                "output": view.sees()[0].tolist(),
            }
        assert {each.name: each.sees for each in shown.matrices} == expected
        slots = [*shown.slots.values()][-1]
        for slot, token, target in zip(
            slots, view.tokens[0].tolist(), view.target[0].tolist(), strict=True
        ):
            assert slot.input == words.pieces([token])[0]
            assert slot.target == ("" if target == IGNORE else words.pieces([target])[0])


def test_what_predicts_a_hidden_token_does_not_see_it(views: Views) -> None:
    """The answer stands at no position that its prediction may look at, at the answer's place."""
    for shown in views.views:
        matrix = shown.matrices[-1]
        for slot, sees in zip(matrix.rows, matrix.sees, strict=True):
            if not slot.target or slot.change == "kept":
                continue
            if slot.ahead:  # the next position holds the answer, and is not seen
                after = matrix.rows.index(slot) + 1
                if after < len(sees) and matrix.rows[after].input == slot.target:
                    assert not sees[after], shown.name
                continue
            leaks = [
                seen
                for seen, other in zip(sees, matrix.columns, strict=True)
                if other.index == slot.index and other.input == slot.target
            ]
            assert not any(leaks), shown.name


def test_the_same_seed_is_the_same_picture_and_another_is_another(words: Tokenizer) -> None:
    objectives = [parse_objective(name) for name in ("mlm", "plm", "glm", "fim")]
    one, same, other = (asdict(views_of(TEXT, objectives, words, seed=s)) for s in (5, 5, 6))
    assert one == same
    for mine, its in zip_longest(one["views"], other["views"]):
        assert mine["matrices"] != its["matrices"]


def test_a_long_text_is_cut_and_says_so(words: Tokenizer) -> None:
    clm = parse_objective("clm")
    views = views_of(" ".join([TEXT] * 9), [clm], words, longest=11)
    assert len(views.pieces) == 11
    assert views.cut == f"Only the first 11 of its {views.num_tokens} tokens are shown."
    assert len(views.views[0].matrices[0].rows) == 12
    assert views.views[0].matrices[0].sees == [[j <= i for j in range(12)] for i in range(12)]


@pytest.mark.parametrize("text", ["a", "the cat"])
def test_a_text_too_short_for_an_objective_says_so(words: Tokenizer, text: str) -> None:
    views = views_of(text, [parse_objective(name) for name in OBJECTIVES], words)
    notes = {view.name: view.notes for view in views.views}
    assert any("blocks this short" in note for note in notes["t5"])
    assert not any("blocks this short" in note for note in notes["clm"])
    shown = [view for view in views.views if not any(slot.target for slot in _slots(view))]
    for view in shown:  # nothing is predicted, and it says why
        assert any("short" in note or "Chance" in note for note in view.notes)


def _slots(view):
    return [slot for slots in view.slots.values() for slot in slots]


def test_parts_in_turn_are_all_shown(words: Tokenizer) -> None:
    parts = tuple(MixturePart(objective=parse_objective(name)) for name in ("mlm", "clm", "prefix"))
    in_turn = Hybrid(parts=parts, schedule="in-turn")
    found = views_of(TEXT, [in_turn], words).views
    assert [view.part for view in found] == ["part 0: mlm", "part 1: clm", "part 2: prefix"]
    assert [view.attention for view in found] == [part.objective.attention for part in parts]


def test_what_a_tokenizer_cannot_give_is_refused_alone(words: Tokenizer) -> None:
    with pytest.MonkeyPatch.context() as patch:
        roles = {name: id for name, id in words.vocab.roles.items() if name != "mask"}
        patch.setitem(words.vocab.__dict__, "roles", roles)
        views = views_of(TEXT, [parse_objective(name) for name in ("clm", "mlm")], words)
        assert [view.name for view in views.views] == ["clm"]
        assert "no mask token" in views.refused["mlm"]
        with pytest.raises(UserError, match="no mask token"):
            views_of(TEXT, [parse_objective("mlm")], words)
