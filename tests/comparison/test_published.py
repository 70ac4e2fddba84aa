"""Models that were trained elsewhere, beside runs: shown, and neither equal nor ranked."""

import json
from pathlib import Path

import pytest

from lmcompare.comparison import compare
from lmcompare.comparison.formats import to_json
from lmcompare.runs.listing import listed
from lmcompare.runs.run import Run
from tests.comparison.known_runs import (
    CLOSE,
    FAR,
    arm,
    causal,
    evaluate,
    fact,
    marks,
    rows,
    write_published,
)
from tests.comparison.known_scores import ask, models, right
from tests.comparison.known_scores import rows as verdicts


@pytest.fixture
def published(study: Path) -> Run:
    run = write_published(study, "gpt2")
    evaluate(run, 0.5, unigram_nats=None)
    return run


def test_nothing_of_its_training_is_held_equal(study, published):
    comparison = compare([*causal(study, a=CLOSE, b=CLOSE), published])
    unequal = [each.name for each in comparison.facts if not each.equal]
    assert unequal == ["training", "tokenizer", "backbone", "batch"]
    assert fact(comparison, "training").words == (
        "here: a, b; elsewhere, so its text, order, budget and the like are not known: hf:gpt2"
    )
    assert fact(comparison, "budget").equal, "among those whose budget is known"
    assert "hf:gpt2" not in str(fact(comparison, "budget").found)
    assert "GPT2LMHeadModel, layers 12, width 768: hf:gpt2" in fact(comparison, "backbone").words
    assert "rows of 1024 tokens at most: hf:gpt2" in fact(comparison, "batch").words
    assert comparison.preface[0].warns
    assert "hf:gpt2: rows are padded with <|endoftext|>" in comparison.notes


def test_beside_one_arm_nothing_of_its_training_is_equal_to_anything(study, published):
    comparison = compare([*arm(study, "clm", CLOSE), published])
    unequal = [each.name for each in comparison.facts if not each.equal]
    assert unequal == ["training", "tokenizer", "backbone", "batch"]
    assert not {"training text", "budget", "seeds"} & {each.name for each in comparison.facts}


def test_two_of_them_are_not_equal_either(study, published):
    other = write_published(study, "neo")
    comparison = compare([published, other])
    assert not fact(comparison, "training").equal
    assert fact(comparison, "backbone").equal, "one class and shape, which are there to see"
    assert fact(comparison, "tokenizer").equal
    assert not {"training text", "budget", "seeds"} & {each.name for each in comparison.facts}


def test_it_stands_in_the_table_and_is_not_ranked(study, published):
    comparison = compare([*causal(study, a=CLOSE, b=FAR), published])
    assert marks(comparison) == {"a": "best", "b": None, "hf:gpt2": "elsewhere"}
    assert [*rows(comparison)][-1] == "hf:gpt2", "below those that are ranked"
    assert not [note for note in comparison.notes if "not objectives alone" in note], (
        "what is unlike in it is nothing to the others' ranking"
    )
    assert [note for note in comparison.notes if note.startswith("trained elsewhere")] == [
        "trained elsewhere, on a text and at a cost that are not known, so not ranked and without "
        "verdicts: hf:gpt2"
    ]
    assert not [note for note in comparison.notes if "one seed" in note]


def test_what_its_training_took_is_a_dash(study, published):
    comparison = compare([*arm(study, "clm", CLOSE), published])
    own = comparison.frame[comparison.frame["arm"] == "hf:gpt2"]
    assert set(own["metric"]) == {"parameters", "bits_per_byte", "bits_per_token"}
    assert set(own["step"]) == {-1}
    summary = json.loads(to_json(comparison))
    assert "it was trained elsewhere" in json.dumps(summary)
    page = str(comparison)
    assert "nan" not in page.lower().split()


def test_verdicts_are_given_only_if_they_are_asked_for(study):
    runs = [*models(study, "a", right(20)), *models(study, "b", right(38))]
    runs.append(write_published(study, "gpt2"))
    ask(runs[-1], right(40))
    found = verdicts(compare(runs))
    assert found["b"].verdict == "wins"
    assert found["hf:gpt2"].value is not None
    assert (found["hf:gpt2"].verdict, found["hf:gpt2"].difference) == (None, None)
    judged = verdicts(compare(runs, judge_all=True))
    assert judged["hf:gpt2"].verdict == "wins"
    assert found["b"].corrected_p < judged["b"].corrected_p, "as there are more comparisons"


def test_those_of_one_name_and_other_weights_are_arms_of_their_own(study, published):
    other = write_published(study, "gpt2", weights="abcd" * 8)
    labels = [arm.label for arm in compare([published, other]).arms]
    assert sorted(labels) == ["hf:gpt2 [weights 3e1f3e1f]", "hf:gpt2 [weights abcdabcd]"]


def test_why_an_encoder_is_not_asked_is_said(study, published):
    encoder = write_published(study, "minilm", objective=None)
    comparison = compare([published, encoder])
    assert rows(comparison)["hf:minilm"].objective == "states only"
    assert "hf:minilm: it has no head that predicts tokens" in comparison.notes


def test_a_list_of_runs_says_nothing_of_its_budget(published):
    row = listed(published).row
    assert (row.state, row.arm, row.objective) == ("finished", "hf:gpt2", "clm")
    assert (row.step, row.share, row.budget, row.loss) == (None, None, None, None)
