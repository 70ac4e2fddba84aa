"""What an arm is held against at benchmarks, and what cannot be compared."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

from lmcompare.comparison import compare
from lmcompare.comparison.tables.tasks import BenchmarkRow
from lmcompare.errors import UserError
from lmcompare.runs.run import Run
from lmcompare.stats.intervals import p_in_words
from tests.comparison.known_runs import arm, write_run
from tests.comparison.known_scores import NUM, ask, block, models, right, rows
from tests.conftest import values


def test_any_arm_may_be_the_reference(study):
    runs = models(study, "a", right(20)) + models(study, "b", right(38))
    comparison = compare(runs, reference="b")
    assert block(comparison).reference == "b"
    assert rows(comparison)["a"].verdict == "loses"


def verdicts(runs: Sequence[Run]) -> dict[tuple[str, str], BenchmarkRow]:
    """Of each pair of arms, with each of them as the reference."""
    labels = dict.fromkeys(run.record().arm for run in runs)
    return {
        (label, reference): row
        for reference in labels
        for label, row in rows(compare(runs, reference=reference)).items()
        if label != reference
    }


@pytest.mark.parametrize("num_seeds", [1, 2, 3])
def test_another_reference_changes_signs_alone(study, num_seeds):
    """Of every pair of four arms, exactly: p depends on nothing but the arms and their number."""
    draw = np.random.default_rng(num_seeds)
    runs = [
        run
        for share, name in zip((0.3, 0.5, 0.6, 0.9), "abcd", strict=True)
        for run in models(study, name, *((draw.random((num_seeds, NUM)) < share) * 1.0).tolist())
    ]
    found = verdicts(runs)
    assert {row.verdict for row in found.values()} == {"wins", "loses", "ties"}
    for (one, two), row in found.items():
        turned = found[two, one]
        assert (row.p, row.corrected_p, row.test) == (turned.p, turned.corrected_p, turned.test)
        assert row.difference.value == -turned.difference.value
        assert row.difference.low == -turned.difference.high


@pytest.mark.parametrize("num_seeds", values(1, 3, slow=[2, 5]))
def test_a_row_never_contradicts_itself(study, num_seeds):
    """Verdict, p and interval say the same, in the cells too, whatever the answers."""
    draw = np.random.default_rng(num_seeds)
    runs = [
        run
        for number in range(13)
        for run in models(
            study,
            f"arm-{number:02}",
            *((draw.random((num_seeds, NUM)) < 0.3 + number / 20) * 1.0).tolist(),
        )
    ]
    comparison = compare(runs)
    for row, cells in zip(block(comparison).rows[1:], block(comparison).cells[1:], strict=False):
        significant = row.corrected_p < 0.05
        assert (row.verdict != "ties") is significant
        assert row.difference.excludes(0) is significant
        verdict, p = cells[3].split()
        assert (p.startswith("<") or float(p) < 0.05) is (verdict != "ties")
        low, high = re.fullmatch(r"[+-][\d.]+ \[(\S+), (\S+)\]", cells[2]).groups()  # type: ignore[union-attr]
        assert (float(low) * float(high) > 0) is significant


def test_a_p_keeps_to_its_side_of_the_level_and_is_never_none():
    shown = {0.0: "<0.001", 1e-9: "<0.001", 0.00149: "0.001", 0.0496: "0.049", 0.04999: "0.049"}
    shown |= {0.05: "0.050", 0.0504: "0.050", 1.0: "1.000"}
    assert {p: p_in_words(p) for p in shown} == shown


def test_an_unknown_reference_is_one_line(study):
    runs = models(study, "causal", right(20))
    with pytest.raises(
        UserError, match=r"^the reference 'causl' is none of the arms: did you mean"
    ):
        compare(runs, reference="causl")


def test_a_reference_without_a_value_is_said(study):
    runs = models(study, "a", right(20)) + models(study, "b", None, reason="it cannot")
    comparison = compare(runs, reference="b")
    assert "b has no value here, so nothing is compared with it" in block(comparison).notes
    assert rows(comparison)["a"].difference is None


def test_a_reference_without_benchmarks_is_said(study):
    comparison = compare(arm(study, "clm", [1.0]), reference="clm")
    assert comparison.tables["benchmark"] == []
    assert "no benchmark was asked, so in none is anything compared with clm" in comparison.notes


def test_one_arm_is_no_reference(study):
    comparison = compare(models(study, "a", right(20)))
    assert block(comparison).reference is None
    assert block(comparison).cells[0][2] == ""


def test_an_unfinished_arm_has_no_verdict(study):
    runs = models(study, "b", right(20)) + models(study, "c", right(41))
    runs.append(write_run(study, "a", 0, settings={"objective": "clm"}, finished=False, steps=17))
    ask(runs[-1], right(41))
    ask(runs[-1], right(20), step=11)
    comparison = compare(runs, unfinished=True)
    assert block(comparison).reference == "b"
    row = rows(comparison)["a [unfinished]"]
    assert row.value.value == 1.0, "the latest"
    assert row.difference is None
    assert rows(comparison)["c"].verdict == "wins"


# what does not compare


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": "beef" * 8}, "41 examples beefbeef"),
        ({"version": 2}, "41 examples cafecafe of version 2"),
    ],
)
def test_other_examples_and_versions_get_a_note(study, change, words):
    runs = models(study, "a", right(20)) + models(study, "b", right(30))
    other = models(study, "c", right(41), **change)
    found = block(compare(runs + other))
    assert [row.label for row in found.rows] == ["a", "b"]
    assert f"left out, as they do not compare with these: {words} (c)" in found.notes
    assert f"not asked: `lmcompare eval --tasks zorro {other[0].path}`" in found.notes


def test_what_most_runs_were_asked_counts_before_what_is_larger(study):
    runs = models(study, "a", right(20)) + models(study, "b", right(30))
    ask(runs[0], right(40, of=43), text="0123" * 8)
    assert block(compare(runs)).num_items == NUM


def test_of_two_sets_that_all_were_asked_the_larger_counts(study):
    runs = models(study, "a", right(20)) + models(study, "b", right(30))
    for run in runs:
        ask(run, right(40, of=43), text="0123" * 8)
    found = block(compare(runs))
    assert found.num_items == 43
    assert "left out, as they do not compare with these: 41 examples cafecafe (a, b)" in found.notes
    assert not any(note.startswith("not asked") for note in found.notes)


def test_a_result_of_another_step_is_stale(study):
    runs = models(study, "a", right(20), untrained=right(20))
    ask(runs[0], right(41), step=50)
    assert rows(compare(runs))["a"].value.value == 20 / NUM
    assert not any("left out" in note for note in compare(runs).notes)
    old = models(study, "b", right(41), step=50, untrained=right(20))
    comparison = compare(runs + old)
    again = f"`lmcompare eval --tasks zorro {old[0].path}`"
    assert f"asked at step 50 of 100 and left out: {again}" in comparison.notes
    assert f"not asked: {again}" in block(comparison).notes
    assert list(rows(comparison)) == ["a"]


def test_seeds_that_were_not_asked_are_counted_out(study):
    runs = models(study, "a", right(20), right(21))
    runs.append(write_run(study, "a", 2, settings={"objective": "clm"}))
    found = block(compare(runs))
    assert found.cells[0][-1] == "2 of 3"
    assert f"not asked: `lmcompare eval --tasks zorro {runs[-1].path}`" in found.notes


def test_seeds_that_were_asked_in_unlike_ways_have_no_mean(study):
    runs = models(study, "a", right(20)) + models(study, "b", right(20), right(21))
    ask(runs[-1], right(21), scoring="orders")
    found = block(compare(runs))
    assert found.cells[1][1] == "—"
    assert any(
        note.startswith("— b: its seeds were asked in different ways") for note in found.notes
    )


@pytest.mark.parametrize("left", [NUM - 1, 0])
def test_answers_that_are_missing_are_left_out_and_said(study, left):
    [run] = models(study, "a", right(20))
    [lines] = run.path.glob("eval/task-*.jsonl")
    lines.write_text("".join(lines.read_text().splitlines(keepends=True)[:left]))
    if not left:
        lines.unlink()
    comparison = compare([run])
    assert comparison.tables["benchmark"] == []
    [note] = [note for note in comparison.notes if note.startswith("left out: ")]
    assert "missing or damaged: the same `lmcompare eval --force`" in note
