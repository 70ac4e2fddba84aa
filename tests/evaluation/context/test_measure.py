"""What is gained from where is found in a model of which that is known."""

import math
from pathlib import Path

import pytest

from lmcompare.data import Prepared
from lmcompare.errors import UserError
from lmcompare.evaluation.context.curves import ContextAnswers
from lmcompare.evaluation.context.measure import measure_context
from lmcompare.evaluation.context.options import ContextOptions
from lmcompare.evaluation.context.record import CHANGES, ContextItem, ContextRecord, key_of
from lmcompare.objectives import Clm, Mlm, Objective
from lmcompare.objectives.scoring_types import Scoring
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.run import Run
from tests.evaluation.context.conftest import SURE, Knowing

SOME = ContextOptions(num_tokens=67, num_curve_tokens=41, num_changed_tokens=23, reach=11)


def measured(
    model: LoadedModel, tmp_path: Path, options: ContextOptions = SOME
) -> tuple[ContextRecord, list[ContextItem]]:
    record = measure_context(model, options, cache=tmp_path, warn=pytest.fail)
    return record, model.results.items(record, ContextItem)


@pytest.mark.parametrize("objective", [Clm(), Mlm()], ids=["clm", "mlm"])
def test_the_gain_appears_between_two_and_four_tokens_on_the_left(
    knowing: Knowing, prepared: Prepared, tmp_path: Path, objective: Objective
) -> None:
    record, items = measured(knowing(objective), tmp_path)
    size = prepared.vocab.size
    sure = math.log(math.exp(SURE) + size - 1) - SURE
    assert record.distances == (0, 1, 2, 4, 8, 11)
    assert (record.num_tokens, len(items)) == (67, 67)
    whole = [each for each in items if each.nats < 1]
    assert len(whole) > 50, "a token at the beginning of a document has no third before it"
    for item in whole:
        assert item.nats == pytest.approx(sure, abs=1e-5)
        lost = item.lost[key_of("cut", "left")]
        assert lost[0] == pytest.approx(math.log(size) - sure, abs=1e-5)
        if len(lost) > 1:
            assert lost[1:3] == (lost[0], lost[0])
            assert lost[3:] == (0.0, 0.0)
            assert item.moved[key_of("cut", "left")][2] > 0.5
            assert item.moved[key_of("cut", "left")][3] == pytest.approx(0, abs=1e-6)
    curves = [each for each in items if len(each.lost[key_of("cut", "left")]) > 1]
    assert curves == items[:41]
    for change in CHANGES[1:]:
        lost = [each.lost[key_of(change, "left")] for each in curves[:23]]
        assert sum(each[0] for each in lost) / 23 > 1, "another word stands there mostly"
        assert {each[3:] for each in lost} == {(0.0, 0.0)}


def test_nothing_is_gained_on_the_right(knowing: Knowing, tmp_path: Path) -> None:
    causal, items = measured(knowing(Clm()), tmp_path)
    assert causal.gain is not None
    assert (causal.given, causal.gain["right"]) == ("left", 0.0)
    assert {key for each in items for key in each.lost} == {f"{each} left" for each in CHANGES}
    masked, items = measured(knowing(Mlm()), tmp_path)
    assert masked.given == "both"
    found = {key: {*each.lost[key]} for each in items for key in each.lost if "right" in key}
    assert found == {f"{each} right": {0.0} for each in CHANGES}


def test_all_influence_stands_three_to_the_left(knowing: Knowing, tmp_path: Path) -> None:
    for objective in (Clm(), Mlm()):
        record, items = measured(knowing(objective), tmp_path)
        assert record.gradient is not None
        assert record.gradient["left"] == (0.0, 0.0, 1.0, *[0.0] * 8)
        assert record.gradient["right"] == (0.0,) * 11
        shares = [each.gradient_right for each in items]
        assert {*shares[:41]} <= {0.0, None}
        assert shares[:41].count(0.0) > 30
        assert shares[41:] == [None] * 26


def test_the_effective_length_is_read_off_the_curve(knowing: Knowing, tmp_path: Path) -> None:
    model = knowing(Mlm())
    record, items = measured(model, tmp_path)
    answers = ContextAnswers(records=[record], items=[items])
    length = answers.effective_length("left")
    assert length is not None
    assert length.value == pytest.approx(2 + 2 * 0.95)
    assert (length.low, length.high) == (pytest.approx(3.9), pytest.approx(3.9))
    assert not length.at_least
    assert answers.effective_length("right") is None
    assert answers.gradient_right() is not None


def test_all_models_of_a_text_are_asked_for_the_same_tokens(
    knowing: Knowing, tmp_path: Path
) -> None:
    causal, of_causal = measured(knowing(Clm()), tmp_path)
    masked, of_masked = measured(knowing(Mlm()), tmp_path)
    assert causal.text == masked.text
    assert [each.text for each in of_causal] == [each.text for each in of_masked]
    assert [each.nats for each in of_causal] == pytest.approx([each.nats for each in of_masked])


def test_it_is_not_measured_again_but_where_it_is_asked_otherwise(
    knowing: Knowing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = knowing(Mlm())
    first, _ = measured(model, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(type(model.net), "predict", lambda *_: pytest.fail("it was asked again"))
        again = measure_context(model, SOME, cache=tmp_path)
    assert again == model.results.read(ContextRecord)[0]
    assert again.text == first.text
    for change in (
        {"num_tokens": 61},
        {"num_curve_tokens": 37},
        {"num_changed_tokens": 13},
        {"reach": 7},
    ):
        other, _ = measured(model, tmp_path, SOME.model_copy(update=change))
        assert other.text != first.text, change


def test_a_reach_beyond_half_of_a_row_is_cut_to_it(knowing: Knowing, tmp_path: Path) -> None:
    options = SOME.model_copy(update={"reach": 500})
    record, _ = measured(knowing(Clm()), tmp_path, options)
    assert record.reach == (33 - 2) // 2
    assert record.distances == (0, 1, 2, 4, 8, 15)


def test_a_text_with_fewer_tokens_is_asked_about_as_it_is(knowing: Knowing, tmp_path: Path) -> None:
    said: list[str] = []
    options = ContextOptions(num_tokens=900_001, num_curve_tokens=3, reach=1)
    record = measure_context(knowing(Clm()), options, cache=tmp_path, warn=said.append)
    assert 0 < record.num_tokens < 900_001
    assert said == [
        f"validation has {record.num_tokens:,} tokens with context on both sides, and 900,001 were "
        "wanted: these are asked for"
    ]


def test_a_text_without_context_is_refused(
    knowing: Knowing, tmp_path: Path, other: dict[str, object]
) -> None:
    with pytest.raises(UserError, match="no two stretches of text with context on both sides"):
        measure_context(knowing(Clm()), ContextOptions(**other), cache=tmp_path)  # type: ignore[arg-type]


def test_an_objective_that_cannot_be_asked_says_why(knowing: Knowing, tmp_path: Path) -> None:
    class Mute(Clm):
        @property
        def scorings(self) -> dict[str, Scoring]:
            return {}

    model = knowing(Mute())
    record, items = measured(model, tmp_path)
    assert record.reason == "clm does not predict one hidden token in one pass"
    assert (record.gain, record.scoring, record.headline, items) == (None, None, None, [])
    assert ContextAnswers.of([(Run(tmp_path / "none"), record)]).records == []


def test_a_model_that_knows_no_number_is_named(
    knowing: Knowing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = knowing(Clm())
    monkeypatch.setattr(model.net, "table", model.net.table * math.nan)
    with pytest.raises(UserError, match=r"clm gives a token no finite probability"):
        measure_context(model, SOME, cache=tmp_path)
