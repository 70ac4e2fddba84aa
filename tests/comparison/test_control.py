"""What was held equal between the runs that are compared."""

from pathlib import Path

import pytest

from lmcompare.blocks import Paragraph, Table
from lmcompare.comparison import compare, document
from lmcompare.runs.finding import find_runs
from lmcompare.runs.records import ControlSheet
from tests.comparison.known_runs import CLOSE, FAR, arm, causal, evaluate, fact, write_run


def test_all_is_held_equal_where_it_is(study):
    comparison = compare(arm(study, "clm", CLOSE) + arm(study, "mlm", FAR))
    assert [str(each) for each in comparison.facts if not each.equal] == []
    num = len(comparison.facts)
    held = f"all {num} facts checked (training text, order of the text, initial weights, ...)"
    assert comparison.preface[0] == Paragraph("Held equal", f"{held}; see the control sheet")
    assert not any(each.warns for each in comparison.preface)
    *_, sheet = document(comparison)
    assert isinstance(sheet, Table)
    assert [[*row] for row in sheet.parts[0].rows] == [
        [each.name, "yes", "; ".join(each.found)] for each in comparison.facts
    ]
    assert [each.name for each in comparison.consequences] == ["targets"]
    assert str(comparison.consequences[0]) == "targets (203k: clm; 30.5k: mlm)"


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("training text", {"sheet": {"text": "0000" * 4}}, "00000000: mlm"),
        ("order of the text", {"sheet": {"order": "1111" * 4}}, "11111111 in seed 0: mlm"),
        ("tokenizer", {"sheet": {"tokenizer": "2222" * 4}}, "22222222: mlm"),
        (
            "initial weights",
            {"sheet": {"weights": {"embedding.weight": "e0", "layers.0.weight": "other"}}},
            "1 of 2 shared parameters unlike those of clm, layers.0.weight first: mlm",
        ),
        ("backbone", {"settings": {"model": {"preset": "nano", "layers": 3}}}, "layers 3: mlm"),
        ("budget", {"settings": {"budget": "1M tokens"}}, "1M tokens: mlm"),
        ("batch", {"settings": {"batch": {"rows": 8}}}, "rows 8: mlm"),
        ("optimizer", {"settings": {"optimizer": {"beta2": 0.99}}}, "beta2 0.99: mlm"),
        ("validation", {"settings": {"validation": {"blocks": 32}}}, "blocks 32: mlm"),
        ("precision", {"record": {"precision": "bfloat16"}}, "bfloat16: mlm"),
        ("device", {"record": {"device": "Some GPU"}}, "computed on Some GPU: mlm"),
        ("device", {"record": {"threads": 5}}, "threads 5: mlm"),
        ("lmcompare", {"record": {"git_commit": "fedcba9876543210"}}, "commit fedcba98: mlm"),
        (
            "libraries",
            {"record": {"versions": {"lmcompare": "0.1.0", "torch": "2.8.0"}}},
            "torch 2.8.0: mlm",
        ),
    ],
)
def test_what_was_not_held_equal_is_said(study, name, changes, words):
    changes = {"settings": {}} | changes
    changes["settings"] = {"objective": "mlm"} | changes["settings"]
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0], **changes)
    comparison = compare(runs)
    found = fact(comparison, name)
    assert not found.equal
    assert words in str(found)
    assert [each.name for each in comparison.facts if not each.equal] == [name]
    assert comparison.preface[0] == Paragraph("Not held equal", str(found), warns=True)
    num = len(comparison.facts)
    assert comparison.preface[1].text.startswith(f"{num - 1} of the {num} facts checked (")
    assert str(found) not in comparison.notes[-1]


def test_other_evaluated_texts_are_not_equal(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [])
    runs.append(write_run(study, "mlm", 0))
    evaluate(runs[-1], 2.0, text="ffff" * 4)
    found = fact(compare(runs), "evaluated text")
    assert str(found) == "evaluated text (validation abcdabcd: clm; validation ffffffff: mlm)"


def test_an_evaluated_text_is_called_equal_only_between_those_evaluated(study):
    runs = [*arm(study, "clm", [1.0]), write_run(study, "mlm", 0)]
    assert "evaluated text" not in [each.name for each in compare(runs).facts]
    runs += arm(study, "b", [1.0], settings={"objective": "clm"})
    assert str(fact(compare(runs), "evaluated text")).endswith("abcdabcd; only in b, clm)")


def test_weights_are_compared_where_they_are_shared(study):
    more = {"embedding.weight": "e0", "layers.0.weight": "f0", "encoder.weight": "g0"}
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0], sheet={"weights": more})
    found = fact(compare(runs), "initial weights")
    assert found.equal
    assert "where shared, 2 by all" in str(found)


def test_arms_that_begin_with_the_same_weights_stand_together(study):
    other = {"embedding.weight": "x", "layers.0.weight": "f0"}
    runs = [write_run(study, name, 0, settings={"objective": "clm"}) for name in ("a", "b")]
    runs.append(write_run(study, "c", 0, settings={"objective": "clm"}, sheet={"weights": other}))
    assert str(fact(compare(runs), "initial weights")) == (
        "initial weights (as those of a: a, b; "
        "1 of 2 shared parameters unlike those of a, embedding.weight first: c)"
    )


def test_arms_that_all_begin_differently_are_all_named(study):
    runs = [
        write_run(
            study,
            name,
            0,
            settings={"objective": "clm"},
            sheet={"weights": {"embedding.weight": name}},
        )
        for name in ("a", "b", "c")
    ]
    found = fact(compare(runs), "initial weights").found
    assert sorted(label for labels in found.values() for label in labels) == ["a", "b", "c"]


def test_a_winner_of_unequal_runs_is_qualified(study):
    runs = causal(study, a=CLOSE)
    settings = {"objective": "clm", "budget": "1M tokens"}
    runs += arm(study, "b", FAR, settings=settings)
    assert any(
        note.endswith("objectives alone, as these differ: budget") for note in compare(runs).notes
    )


def test_order_and_weights_are_compared_within_a_seed(study):
    runs = [write_run(study, "clm", 0), write_run(study, "mlm", 1)]
    comparison = compare(runs)
    for name in ("order of the text", "initial weights"):
        assert "no seed in common with the others: clm, mlm" in str(fact(comparison, name))
    assert str(fact(comparison, "seeds")) == "seeds (0: clm; 1: mlm)"


def test_a_difference_between_the_seeds_of_an_arm_names_them(study):
    runs = [
        write_run(study, "clm", 0),
        write_run(study, "clm", 1, record={"precision": "bfloat16"}),
    ]
    assert str(fact(compare(runs), "precision")) == (
        "precision (float32: clm seed 0; bfloat16: clm seed 1)"
    )


def test_changes_in_no_commit_are_noted(study):
    runs = arm(study, "clm", [1.0], record={"git_commit": "0123456789+"})
    assert any("in no commit" in note for note in compare(runs).notes)


def test_an_encoder_that_an_objective_brings_is_no_other_backbone(study):
    comparison = compare([write_run(study, name, 0) for name in ("clm", "mlm", "t5")])
    assert str(fact(comparison, "backbone")) == "backbone (nano)"
    depth = next(each for each in comparison.consequences if each.name == "depth")
    assert str(depth) == "depth (4: clm, mlm; 1 + 2: t5)"
    assert comparison.preface[-1].text.startswith(str(depth))
    assert "depth: number of layers; encoder + decoder where there are both" in comparison.notes


def test_an_encoder_of_another_size_is_another_backbone(study):
    deep = {"model": {"preset": "nano", "encoder_layers": 4}}
    comparison = compare([write_run(study, "clm", 0), write_run(study, "t5", 0, settings=deep)])
    found = fact(comparison, "backbone")
    assert str(found) == "backbone (encoder_layers 0: clm; encoder_layers 4: t5)"
    assert "and from what was not held equal" in comparison.preface[-1].about
    assert str(comparison.consequences[0]) == "depth (4: clm; 4 + 4: t5)"


def test_depth_is_no_consequence_where_no_encoder_is(study):
    flat = {"model": {"preset": "nano", "layers": 3}}
    comparison = compare([write_run(study, "clm", 0), write_run(study, "mlm", 0, settings=flat)])
    assert "layers 3: mlm" in str(fact(comparison, "backbone"))
    assert "depth" not in [each.name for each in comparison.consequences]


@pytest.mark.parametrize(
    ("read", "said", "equal"),
    [
        (({64: "a", 100: "b"}, {64: "a", 100: "b"}), "within each seed, as read", True),
        (({64: "a", 100: "b"}, {64: "a", 100: "c"}), "in seed 0", False),
        (({64: "a", 100: "b"}, {64: "c", 100: "b"}), "within each seed, as read", True),
        (
            ({64: "a", 100: "b"}, {32: "d", 64: "a", 90: "c"}),
            "within each seed, as read up to step 64, then as planned",
            True,
        ),
        (({64: "a", 100: "b"}, {64: "x", 90: "c"}), "in seed 0 up to step 64", False),
        (({64: "a", 100: "b"}, None), "as planned: what was read is not kept of all", True),
    ],
)
def test_the_order_is_that_in_which_text_was_read(
    tmp_path: Path, read: tuple[dict[int, str], dict[int, str] | None], said: str, equal: bool
) -> None:
    steps = [100 if each is None else max(each) for each in read]
    for name, each, num in zip(("clm", "mlm"), read, steps, strict=True):
        write_run(tmp_path, name, 0, read=each, steps=num)
    (fact,) = [
        each
        for each in compare(find_runs([tmp_path])).facts
        if each.name == ControlSheet.FACTS["order"]
    ]
    assert fact.equal is equal
    assert said in str(fact)
