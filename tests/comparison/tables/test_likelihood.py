"""What is ranked of the likelihoods of a text, and what is not."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lmcompare.comparison import FORMATS, PAGES, compare
from lmcompare.comparison.tables.likelihood import cells
from lmcompare.errors import UserError
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.runs.run import Run
from tests.comparison.known_answers import ask
from tests.comparison.known_runs import (
    CLOSE,
    FAR,
    LN2,
    NUM_BYTES,
    NUM_TOKENS,
    OVERLAPPING,
    arm,
    causal,
    evaluate,
    footnotes,
    marks,
    write_run,
)


def test_the_best_of_a_section_is_marked_and_first(study):
    comparison = compare(causal(study, a=FAR, b=CLOSE))
    [section] = comparison.tables["likelihood"]
    assert [row.label for row in section.rows] == ["b", "a"]
    assert marks(comparison) == {"b": "best", "a": None}


def test_overlapping_intervals_are_a_tie(study):
    comparison = compare(causal(study, a=FAR, b=CLOSE, c=OVERLAPPING))
    assert marks(comparison) == {"b": "tie", "c": "tie", "a": None}


@pytest.mark.parametrize(("exact", "pseudo"), [(1.0, 2.0), (2.0, 1.0)])
def test_unlike_kinds_are_never_ranked_together(study, exact, pseudo):
    """Whichever kind has the lower numbers, sections and marks are the same."""
    near, far = [0.0, 0.01, 0.02], [0.5, 0.51, 0.52]
    runs = causal(study, c1=[exact + each for each in near], c2=[exact + each for each in far])
    for name, offsets in (("m1", near), ("m2", far)):
        bits = [pseudo + each for each in offsets]
        runs += arm(study, name, bits, settings={"objective": "mlm"})
    comparison = compare(runs)
    order = [
        (each.scored.likelihood, [row.label for row in each.rows])
        for each in comparison.tables["likelihood"]
    ]
    assert order == [("exact", ["c1", "c2"]), ("pseudo", ["m1", "m2"])]
    assert marks(comparison) == {"c1": "best", "c2": None, "m1": "best", "m2": None}
    assert any("cannot be compared" in line for line in FORMATS["md"](comparison).splitlines())


@pytest.mark.parametrize(
    "change", [{"text": "ffff" * 4}, {"source": "wiki"}, {"window": 64}, {"stride": 32}]
)
def test_other_texts_and_windows_are_not_ranked_together(study, change):
    runs = causal(study, a=CLOSE, b=FAR)
    for run in runs[:3]:
        for file in run.path.glob("eval/*"):
            file.unlink()
        evaluate(run, 1.0 + run.record().config.seed / 100, **change)
    comparison = compare(runs)
    assert len(comparison.tables["likelihood"]) == 2
    assert set(marks(comparison).values()) == {None}


def test_scorings_are_not_ranked_together(study):
    runs = arm(study, "mlm", CLOSE)
    for run, value in zip(runs, FAR, strict=True):
        evaluate(run, value, scoring="pll-word")
    comparison = compare(runs)
    assert [each.scored.scoring for each in comparison.tables["likelihood"]] == ["pll", "pll-word"]
    assert set(marks(comparison).values()) == {None}


def mixed(study: Path, bits: Mapping[str, Sequence[float]]) -> list[Run]:
    """Arms of several objectives, each scored in its exact way."""
    runs = []
    for name, values in bits.items():
        for seed, value in enumerate(values):
            runs.append(write_run(study, name, seed))
            how = runs[-1].record().config.objective.scorings
            exact = next(scoring for scoring, each in how.items() if each.likelihood == "exact")
            evaluate(runs[-1], value, scoring=exact)
    return runs


def test_exact_likelihoods_are_ranked_whatever_the_scoring(study):
    comparison = compare(mixed(study, {"clm": FAR, "prefix": CLOSE, "ul2": [3.0, 3.01, 3.02]}))
    [section] = comparison.tables["likelihood"]
    assert section.scored.scoring is None
    assert section.subtitle == "validation abcdabcd, 1,013 bytes, window 128, stride 64"
    assert [(row.label, row.scoring, row.mark) for row in section.rows] == [
        ("prefix", "prefix", "best"),
        ("clm", "causal", None),
        ("ul2", "given-length", None),
    ]
    text = PAGES["md"](comparison, ["likelihood"])
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")] == [
        "arm",
        "prefix, prefix",
        "clm, causal",
        "ul2, given-length",
    ]


BYTES = {"bytes_hash": "b17e" * 8}
OTHER_TOKENS = {"text": "c4a2" * 4, "window": 512, "stride": 256, "num_tokens": NUM_BYTES}


def of_characters(study: Path, name: str, bits: Sequence[float], **changes: Any) -> list[Run]:
    """Runs of a tokenizer that makes more tokens of the same bytes."""
    sheet = {"tokenizer": "c4a2" * 4}
    runs = []
    for seed, value in enumerate(bits):
        runs.append(write_run(study, name, seed, sheet=sheet, record={"arm": f"{name}-char"}))
        evaluate(runs[-1], value, **(BYTES | OTHER_TOKENS | changes))
    return runs


def of_words(study: Path, name: str, bits: Sequence[float], **changes: Any) -> list[Run]:
    runs = []
    for seed, value in enumerate(bits):
        runs.append(write_run(study, name, seed))
        evaluate(runs[-1], value, **(BYTES | changes))
    return runs


def test_exact_likelihoods_of_the_same_bytes_meet_whatever_the_tokenizer(study):
    runs = of_words(study, "clm", FAR) + of_characters(study, "clm", CLOSE)
    comparison = compare(runs)
    [section] = comparison.tables["likelihood"]
    assert section.subtitle == "validation b17eb17e, 1,013 bytes"
    assert [(row.label, row.window, row.mark) for row in section.rows] == [
        ("clm-char", "window 512, stride 256", "best"),
        ("clm", "window 128, stride 64", None),
    ]
    first = cells(section.rows[0])[0]
    assert first == "clm-char: clm, causal, window 512, stride 256"
    assert any("Only their bits/byte compare" in note for note in footnotes(comparison))
    unequal = {fact.name for fact in comparison.facts if not fact.equal}
    assert {"tokenizer", "scoring window"} <= unequal
    assert "evaluated text" not in unequal


def test_one_tokenizer_needs_no_word_on_that(study):
    comparison = compare(causal(study, a=CLOSE, b=FAR))
    assert not any("tokenizers" in note for note in footnotes(comparison))


@pytest.mark.parametrize("change", [{"bytes_hash": "ffff" * 8}, {"bytes_hash": None}])
def test_other_or_unknown_bytes_do_not_meet(study, change):
    runs = of_words(study, "clm", FAR) + of_characters(study, "clm", CLOSE, **change)
    comparison = compare(runs)
    assert len(comparison.tables["likelihood"]) == 2
    assert set(marks(comparison).values()) == {None}


def test_earlier_results_meet_those_of_the_same_tokens(study):
    runs = of_words(study, "prefix", CLOSE, scoring="prefix", bytes_hash=None)
    runs += of_words(study, "clm", FAR)
    [section] = compare(runs).tables["likelihood"]
    assert [(row.label, row.mark) for row in section.rows] == [("prefix", "best"), ("clm", None)]


@pytest.mark.parametrize("objective", ["mlm", "mdlm"])
def test_bounds_and_scores_of_unlike_tokens_do_not_meet(study, objective):
    runs = of_words(study, objective, FAR) + of_characters(study, objective, CLOSE)
    sections = compare(runs).tables["likelihood"]
    assert [len(section.rows) for section in sections] == [1, 1]
    assert ["in tokens" in section.subtitle for section in sections] == [True, True]


def test_windows_of_one_tokenizer_beside_another_are_not_ranked(study):
    runs = of_words(study, "clm", FAR) + of_characters(study, "clm", CLOSE)
    for run in runs[:3]:
        evaluate(run, 1.5, **(BYTES | {"window": 64, "stride": 32}))
    [section] = compare(runs).tables["likelihood"]
    assert len(section.rows) == 3
    assert {row.mark for row in section.rows} == {None}


def test_only_what_was_selected_is_compared(study):
    runs = causal(study, a=CLOSE, b=FAR)
    for run in runs:
        evaluate(run, 3.0, text="7ea1" * 4, num_bytes=499)
        ask(run, 2.0, 2.1, 2.2, 2.3)
    assert len(compare(runs).tables["likelihood"]) == 2
    assert any("measured under several settings" in note for note in compare(runs).notes)
    chosen = compare(runs, only=["likelihood,abcdabcd"])
    assert [section.scored.text for section in chosen.tables["likelihood"]] == ["abcd" * 4]
    assert marks(chosen) == {"a": "best", "b": None}
    assert not chosen.tables["infilling"]
    [left_out] = [note for note in chosen.notes if "left out" in note]
    assert left_out.startswith("not selected, and left out: 30 of 36 results (6 likelihood")
    assert not any("not evaluated" in n or "not asked" in n for n in chosen.notes)
    both = compare(runs, only=["bytes=499", "infilling,hidden=one"])
    assert [section.num_bytes for section in both.tables["likelihood"]] == [499]
    assert both.tables["infilling"]
    [nothing] = compare(runs, only=["infilling"]).tables["likelihood"]
    assert nothing.title == "evaluated, and not selected"
    one = runs[0].results
    [first, _] = one.read(LikelihoodRecord)
    [section, unselected] = compare(runs, only=[one.id_of(first)]).tables["likelihood"]
    assert [(row.label, row.seeds) for row in section.rows] == [("a", [0])]
    assert [row.label for row in unselected.rows] == ["b"]


def test_the_latest_of_what_asks_the_same(study):
    runs = causal(study, a=CLOSE, b=FAR)
    for run in runs:
        evaluate(run, 3.0, text="7ea1" * 4, num_bytes=499)
        evaluate(run, 3.0, source="test", text="7e57" * 4)
    latest = compare(runs, latest=True)
    assert [(each.scored.source, each.num_bytes) for each in latest.tables["likelihood"]] == [
        ("test", NUM_BYTES),
        ("validation", 499),
    ]
    assert not any("several settings" in note for note in latest.notes)
    for run in runs:  # measured again
        evaluate(run, 2.0)
    assert [each.num_bytes for each in compare(runs, latest=True).tables["likelihood"]] == [
        NUM_BYTES
    ] * 2
    assert len(runs[0].results.read(LikelihoodRecord)) == 3, "nothing is removed"


def test_a_selection_of_nothing_says_what_there_is(study):
    runs = causal(study, a=CLOSE, b=FAR)
    for only, said in (
        ("boolq", "no result is 'boolq': to choose from: kind likelihood; source validation"),
        ("likelihoodd", "did you mean 'likelihood'?"),
        ("window=129", "no result has window=129: window is 128"),
        ("windw=128", "did you mean 'window'?"),
        ("", "lacks a word"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            compare(runs, only=["exact", only])


def test_bounds_are_ranked_by_scoring(study):
    runs = [write_run(study, name, seed) for name in ("mdlm", "plm") for seed in range(3)]
    for run in runs:
        scoring = "bound" if run.record().config.objective.name == "mdlm" else "orders"
        evaluate(run, 2.0 + run.record().config.seed / 100, scoring=scoring)
    comparison = compare(runs)
    assert [each.scored.scoring for each in comparison.tables["likelihood"]] == ["bound", "orders"]
    assert marks(comparison) == {"mdlm": None, "plm": "new to it"}


def test_what_was_trained_for_something_else_is_not_ranked(study):
    """It stands below, however well it does; and `plm` that predicts all of a text is ranked."""
    runs = mixed(study, {"clm": FAR, "t5": CLOSE, "prefix": [3.0, 3.01, 3.02]})
    whole = {"objective": {"name": "plm", "rate": 1.0}}
    for seed, bits in enumerate([4.0, 4.01, 4.02]):
        runs.append(write_run(study, "whole", seed, settings=whole))
        evaluate(runs[-1], bits, scoring="left-to-right")
    comparison = compare(runs)
    [section] = comparison.tables["likelihood"]
    assert [(row.label, row.mark) for row in section.rows] == [
        ("clm", "best"),
        ("prefix", None),
        ("whole", None),
        ("t5", "new to it"),
    ]
    assert "new to it: training never hid a whole text" in FORMATS["md"](comparison)
    assert "new to it" not in FORMATS["md"](compare(runs[:3]))


def test_results_of_a_scoring_that_is_gone_are_left_out(study):
    """And it is said what to type, until that was done."""
    run = write_run(study, "t5", 0)
    evaluate(run, 2.0)
    [file] = run.path.glob("eval/likelihood-*.json")
    LikelihoodRecord.read(file).model_copy(update={"scoring": "given-source"}).write(file)
    note = "asked in a way that there is no longer, and left out: `lmcompare eval --tasks "
    comparison = compare([run])
    assert [section.scored for section in comparison.tables["likelihood"]] == [None]
    assert f"{note}likelihood {run.path}`" in comparison.notes
    evaluate(run, 2.1)
    comparison = compare([run])
    assert [row.scoring for row in comparison.tables["likelihood"][0].rows] == ["given-length"]
    assert not any(note in each for each in comparison.notes)


@pytest.mark.parametrize(("share", "said"), [(0.009, False), (0.023, True)])
def test_the_error_of_sampling_is_kept_and_a_wide_one_said(study, share, said):
    run = write_run(study, "mdlm", 0)
    evaluate(run, 2.0, standard_error=share * 2.0 * NUM_BYTES * LN2)
    evaluate(run, 2.1, scoring="left-to-right")
    comparison = compare([run])
    errors = comparison.frame.set_index(["metric", "scoring"])["standard_error"]
    assert errors["bits_per_byte", "bound"] == pytest.approx(2 * share)
    assert errors["bits_per_token", "bound"] == pytest.approx(2 * share * NUM_BYTES / NUM_TOKENS)
    assert errors.notna().sum() == 2
    notes = [note for note in comparison.notes if "standard error" in note]
    expected = "sampled, with a standard error above 1%: mdlm bound 2.3%"
    assert notes == ([expected] if said else [])


def test_validation_losses_are_said_to_rank_nothing(study):
    text = FORMATS["md"](compare(arm(study, "clm", CLOSE)))
    assert "it cannot rank objectives" in text
