"""Words are asked for by what the model has read of them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmcompare.config.budget import Spent
from lmcompare.config.run import parse_data
from lmcompare.data import Prepared, TokenizerConfig, prepare
from lmcompare.errors import UserError
from lmcompare.evaluation.lexical.measure import measure_lexical
from lmcompare.evaluation.lexical.metrics import LexicalAnswers
from lmcompare.evaluation.lexical.options import LexicalOptions
from lmcompare.evaluation.lexical.record import BANDS, GROUPS, LexicalItem, LexicalRecord
from lmcompare.objectives import Clm, Mlm, Objective
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.results import Results
from tests.evaluation.test_fake_network import Nowhere, Uniform
from tests.tiny import sentences
from tests.untrained import LENGTH, contestant

SOME = LexicalOptions(words_per_band=41)
RARE = "zebra"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("lexical")
    for number, name in enumerate(("train", "held")):
        text = sentences(307 if name == "train" else 61, seed=number + 1)
        if name == "held":
            text = text.replace(" slept ", f" {RARE} ")
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    data = parse_data(
        {
            "source": str(folder / "train.txt"),
            "validation": str(folder / "held.txt"),
            "shares": (1.0, 0.0, 0.0),
        }
    )
    return prepare(data, TokenizerConfig(kind="bytes"), cache=folder / "cache")


def model_of(objective: Objective, prepared: Prepared, tmp_path: Path, **given: Any) -> LoadedModel:
    return contestant(
        Uniform(prepared.vocab.size),
        objective,
        prepared.tokenizer,
        path=tmp_path,
        results=Results(tmp_path / "eval", tmp_path / "run.json"),
        origin=Nowhere(prepared),
        **{"spent": Spent(steps=7, tokens=prepared.split("train").num_tokens), **given},
    )


def measured(
    model: LoadedModel, tmp_path: Path, options: LexicalOptions = SOME
) -> tuple[LexicalRecord, list[LexicalItem]]:
    record = measure_lexical(model, options, cache=tmp_path, warn=pytest.fail)
    return record, model.results.items(record, LexicalItem)


def test_every_word_costs_as_much_as_its_tokens(prepared: Prepared, tmp_path: Path) -> None:
    for objective in (Clm(), Mlm()):
        record, items = measured(model_of(objective, prepared, tmp_path / objective.name), tmp_path)
        each = math.log(prepared.vocab.size)
        assert record.num_words == len(items) > 60
        for item in items:
            assert item.nats == pytest.approx(item.num_tokens * each, rel=1e-5)
        assert record.nats == pytest.approx(sum(item.nats for item in items) / len(items))


def test_a_word_that_was_never_read_is_in_its_band(prepared: Prepared, tmp_path: Path) -> None:
    _, items = measured(model_of(Clm(), prepared, tmp_path), tmp_path)
    unread = [each for each in items if each.count == 0]
    assert len(unread) == 41
    assert {each.num_tokens for each in unread} == {len(f" {RARE}")}
    assert {each.pair for each in unread} == {0}
    assert any(each.repeated for each in items)
    assert not all(each.repeated for each in items)


def test_what_was_not_read_yet_does_not_count(prepared: Prepared, tmp_path: Path) -> None:
    _, none = measured(model_of(Clm(), prepared, tmp_path / "none", spent=Spent()), tmp_path)
    assert {(each.count, each.before, each.pair) for each in none} == {(0, 0, 0)}
    tokens = prepared.split("train").num_tokens
    half = model_of(Clm(), prepared, tmp_path / "half", spent=Spent(steps=3, tokens=tokens // 2))
    whole = model_of(Clm(), prepared, tmp_path / "whole")
    some, (_, all_of_them) = measured(half, tmp_path)[1], measured(whole, tmp_path)
    assert [each.nats for each in some] == [each.nats for each in all_of_them]
    for one, two in zip(some, all_of_them, strict=True):
        assert one.count <= two.count
        assert one.pair <= min(two.pair, one.count)
    ratio = sum(each.count for each in some) / sum(each.count for each in all_of_them)
    assert ratio == pytest.approx(0.5, abs=0.05)


def test_groups_are_of_these_words(prepared: Prepared, tmp_path: Path) -> None:
    record, items = measured(model_of(Clm(), prepared, tmp_path), tmp_path)
    answers = LexicalAnswers(records=[record], items=[items])
    for group, test in GROUPS.items():
        for band in BANDS:
            own = [each for each in items if each.band == band and test(each)]
            scores = answers.scores(group, band)
            assert answers.num(group, band) == len(own)
            assert scores.max_score.sum() == len(own)
            assert scores.score.sum() == pytest.approx(sum(each.nats for each in own))
    assert answers.num("new pair", "0") == answers.num("known pair", "0") == 0
    assert sum(answers.num("known pair", band) for band in BANDS) > 20


def test_it_is_not_measured_again(prepared: Prepared, tmp_path: Path) -> None:
    model = model_of(Mlm(), prepared, tmp_path)
    first, _ = measured(model, tmp_path)
    again = measure_lexical(model, SOME, cache=tmp_path)
    assert again == model.results.read(LexicalRecord)[0]
    assert again.text == first.text
    fewer, _ = measured(model, tmp_path, LexicalOptions(words_per_band=17))
    assert fewer.text != first.text
    assert fewer.num_words < first.num_words


def test_a_text_without_words_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    place = tmp_path / "numbers.txt"
    place.write_text("1 2 3 4\n\nzebra\n", encoding="utf-8")
    options = LexicalOptions(data=parse_data({"source": str(place)}))
    with pytest.raises(UserError, match="no document with a word between two others"):
        measure_lexical(model_of(Clm(), prepared, tmp_path), options, cache=tmp_path)


def test_an_objective_that_cannot_be_asked_says_why(prepared: Prepared, tmp_path: Path) -> None:
    class Mute(Clm):
        @property
        def scorings(self) -> dict:
            return {}

    record, items = measured(model_of(Mute(), prepared, tmp_path), tmp_path)
    assert record.reason == "clm does not predict hidden tokens in few passes"
    assert (record.nats, record.headline, items) == (None, None, [])


def test_context_is_as_long_as_a_row_has_room_for(prepared: Prepared, tmp_path: Path) -> None:
    record, _ = measured(model_of(Clm(), prepared, tmp_path), tmp_path)
    assert record.reach == (LENGTH - 1 - 12) // 2
    assert np.isfinite(record.nats or math.nan)
