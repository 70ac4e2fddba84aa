"""What models expect at each place is what their objectives score, whoever asks and however."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest
import torch

from lmcompare.blocks import Notes, Paragraph, Table
from lmcompare.data import Tokenizer
from lmcompare.evaluation.span_scoring import scorings_for
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, Clm, Objective, Scoring, parse_objective
from lmcompare.report.teaching import teaching_page
from lmcompare.teaching import predictions
from lmcompare.teaching.prediction_formats import blocks_of, labels, to_csv, to_json, to_markdown
from lmcompare.teaching.predictions import predictions_of, readings
from lmcompare.teaching.slots import one_row
from tests.conftest import TINY
from tests.untrained import contestant, subject_of

TEXT = "the old cat saw a tree."


@pytest.fixture(params=OBJECTIVES)
def objective(request: pytest.FixtureRequest) -> Objective:
    return parse_objective(request.param)


def test_it_is_what_the_objective_scores(objective: Objective, tokenizer: Tokenizer) -> None:
    for model in readings(subject_of(objective, tokenizer)):
        found = predictions_of(model, TEXT)
        row = one_row(TEXT, tokenizer)
        size = row.tokens.shape[1]
        assert len(found.places) == size - 1
        assert found.scoring == scorings_for(model.objective, "holes")[0]
        for number, place in enumerate(found.places, start=1):
            mask = torch.zeros(1, size, dtype=torch.bool)
            mask[0, number] = True
            score = model.objective.score(
                model.net, row, tokenizer.vocab, mask, scoring=found.scoring
            )
            assert place is not None
            assert place.log_prob == pytest.approx(float(score[0, number]), abs=1e-5)


def test_guesses_are_text_and_share_what_there_is(
    objective: Objective, tokenizer: Tokenizer
) -> None:
    special = set(tokenizer.pieces(sorted(tokenizer.vocab.specials)))
    for model in readings(subject_of(objective, tokenizer)):
        everything = predictions_of(model, TEXT, top=tokenizer.vocab.size)
        for place in predictions_of(model, TEXT).places:
            assert place is not None
            assert len(place.guesses) == 5
            shares = [guess.probability for guess in place.guesses]
            assert shares == sorted(shares, reverse=True)
            assert 0 < sum(shares) <= 1 + 1e-6
            assert not special & {guess.token for guess in place.guesses}
        for token, place in zip(everything.tokens, everything.places, strict=True):
            assert place is not None
            assert sum(guess.probability for guess in place.guesses) <= 1 + 1e-5
            assert len(place.guesses) == len(tokenizer.vocab.regular)
            ranked = place.guesses[place.rank - 1]
            assert ranked.token == token
            assert ranked.probability == pytest.approx(place.probability, rel=1e-5)


def test_it_sees_what_it_says(objective: Objective, tokenizer: Tokenizer) -> None:
    """Of a text changed at its end only what sees both sides expects another thing before."""
    for model in readings(subject_of(objective, tokenizer)):
        one, other = (predictions_of(model, f"the old tree{end}") for end in "xz")
        assert one.tokens[:-1] == other.tokens[:-1]
        early = [
            abs(mine.log_prob - its.log_prob)
            for mine, its in zip(one.places[:-1], other.places[:-1], strict=True)
            if mine and its
        ]
        last = one.places[-1], other.places[-1]
        assert last[0]
        assert last[1]
        for mine, its in zip(last[0].guesses, last[1].guesses, strict=True):  # the token is hidden
            assert mine.token == its.token
            assert mine.probability == pytest.approx(its.probability, abs=1e-5)
        assert (max(early) < 1e-5) == (one.given == "left")


def test_the_batch_changes_nothing(
    objective: Objective, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = subject_of(objective, tokenizer)
    whole = predictions_of(model, TEXT)
    monkeypatch.setattr(predictions, "AT_ONCE", 1)
    alone = predictions_of(model, TEXT)
    assert [place and place.rank for place in alone.places] == [
        place and place.rank for place in whole.places
    ]
    for mine, its in zip(alone.places, whole.places, strict=True):
        assert mine
        assert its
        assert mine.log_prob == pytest.approx(its.log_prob, abs=1e-5)


def test_an_untrained_model_knows_nothing(objective: Objective, tokenizer: Tokenizer) -> None:
    shape = TINY.model_copy(update={"encoder_layers": 1}) if objective.encodes else TINY
    net = Backbone(shape, vocab_size=tokenizer.vocab.size, seed=1).eval()
    for model in readings(contestant(net, objective, tokenizer)):
        places = predictions_of(model, TEXT).places
        mean = sum(place.log_prob for place in places if place) / len(places)
        sizes = len(tokenizer.vocab.regular), tokenizer.vocab.size
        assert -math.log(sizes[1]) - 0.3 < mean < -math.log(sizes[0]) + 0.3
        likeliest = max(place.guesses[0].probability for place in places if place)
        assert likeliest < 3 / sizes[0]


class Mute(Clm):
    """It answers nothing about holes."""

    @property
    def scorings(self) -> dict[str, Scoring]:
        return {name: replace(how, answers=("text",)) for name, how in super().scorings.items()}


class Sampled(Clm):
    """Its score of a token is the mean of two passes, and so no distribution is behind it."""

    @property
    def scorings(self) -> dict[str, Scoring]:
        how = super().scorings["causal"]

        def twice(net, query, vocab):
            return (how.log_prob(net, query, vocab) + how.log_prob(net, query, vocab)) / 2

        return {"twice": replace(how, log_prob=twice)}


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (Mute(), "clm gives no likelihood of a holes"),
        (Sampled(), "no single distribution over a token's place"),
    ],
)
def test_a_question_that_is_none_has_a_dash_and_the_reason(
    objective: Objective, reason: str, tokenizer: Tokenizer
) -> None:
    found = predictions_of(subject_of(objective, tokenizer), TEXT)
    assert not found.places
    assert reason in found.why_not
    paragraph, table, notes = blocks_of([found])
    assert isinstance(paragraph, Paragraph)
    assert paragraph.text == "cannot be asked."
    assert isinstance(table, Table)
    assert [part.rows for part in table.parts] == [[["clm", "-", "-", "-", "-"]]] * len(
        found.tokens
    )
    assert isinstance(notes, Notes)
    assert any(reason in item for item in notes.items)
    html = teaching_page(TEXT, predictions=[found])
    assert "cannot be asked" in html
    assert [*csv.reader(io.StringIO(to_csv(TEXT, [found])))][1][8:] == [""] * 13


def test_no_more_than_a_model_was_trained_on(tokenizer: Tokenizer) -> None:
    model = subject_of(parse_objective("clm"), tokenizer)
    found = predictions_of(model, " ".join([TEXT] * 20))
    assert len(found.tokens) == len(found.places) == model.length - 1 < found.num_tokens
    said = f"was asked about the first {model.length - 1} of the text's {found.num_tokens} tokens"
    assert said in to_markdown(TEXT, [found])
    assert said in teaching_page(TEXT, predictions=[found]).replace("&#39;", "'")


def test_models_of_one_name_are_told_apart(tokenizer: Tokenizer) -> None:
    found = predictions_of(subject_of(parse_objective("clm"), tokenizer), TEXT)
    runs = [
        found,
        replace(found, seed=1),
        replace(found, seed=1, run="a/x"),
        replace(found, seed=1, run="b/x"),
        replace(found, arm="mlm"),
    ]
    assert labels(runs) == ["clm s0", "clm nowhere", "clm a/x", "clm b/x", "mlm"]


def test_all_formats_hold_the_same(tokenizer: Tokenizer) -> None:
    text = "the =cat| <b>\x1b[0m"
    models = [subject_of(parse_objective(name), tokenizer) for name in ("clm", "mlm")]
    found = [predictions_of(model, text) for model in models]
    content = json.loads(to_json(text, found))
    assert content["text"] == text
    rows = list(csv.DictReader(io.StringIO(to_csv(text, found))))
    assert len(rows) == sum(len(each.places) for each in found)
    for row, (each, place) in zip(rows, [(e, p) for e in found for p in e.places], strict=True):
        assert row["arm"] == each.arm
        assert place
        assert float(row["log_prob"]) == place.log_prob
        assert int(row["rank"]) == place.rank
        assert float(row["probability_5"]) == place.guesses[4].probability
        assert not any(value.startswith(("=", "+", "@")) for value in row.values())
    assert [e["log_prob"] for e in content["models"][1]["places"]] == [
        place.log_prob for place in found[1].places if place
    ]
    page = to_markdown(text, found)
    assert "\x1b" not in page
    assert "<b>" not in page
    html = teaching_page(text, predictions=found)
    assert "<b>" not in html
    for place in found[0].places:
        assert place
        assert f"rank {place.rank}\n" in html
