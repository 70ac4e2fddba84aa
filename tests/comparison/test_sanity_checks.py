"""Results of benchmarks that no conclusion can rest on are marked."""

import pytest
from scipy import stats

from lmcompare.comparison import Comparison, compare
from tests.comparison.known_runs import LN2, NUM_BYTES, evaluate, write_run
from tests.comparison.known_scores import EVEN, NUM, ask, block, models, right, rows


def gates(comparison: Comparison) -> dict[str, set[str]]:
    return {label: {*row.gates} for label, row in rows(comparison).items()}


def test_a_sound_result_passes_all_gates(study):
    runs = models(study, "a", right(38), untrained=EVEN)
    evaluate(runs[0], 2.0)
    assert gates(compare(runs)) == {"a": set()}


@pytest.mark.parametrize(("num", "marked"), [(32, True), (28, False), (9, True), (13, False)])
def test_an_untrained_model_off_chance_is_marked(study, num, marked):
    """Of 41 at a chance of a half: 3 standard errors are about 9 examples."""
    comparison = compare(models(study, "a", right(41), untrained=right(num)))
    assert ("untrained off chance" in gates(comparison)["a"]) is marked
    notes = [note for note in block(comparison).notes if note.startswith("untrained off chance: ")]
    assert len(notes) == marked
    assert all(f"(a {num / NUM:.1%})" in note for note in notes)


def test_an_untrained_model_that_learned_from_examples_may_be_off_chance(study):
    runs = models(study, "a", right(41), untrained=right(32), settings={"learning rate": 1e-3})
    assert gates(compare(runs)) == {"a": set()}


def test_where_chance_is_unknown_nobody_is_off_it(study):
    runs = models(study, "a", right(41), untrained=right(35), chance=None)
    comparison = compare(runs)
    assert gates(comparison) == {"a": {*()}}
    assert block(comparison).cells[-1][1] == "—"


def test_a_model_without_any_gain_at_a_chance_of_nothing_is_at_chance(study):
    runs = models(study, "a", right(17), untrained=right(0), chance=0.0)
    assert gates(compare(runs)) == {"a": set()}


@pytest.mark.parametrize(("num", "marked"), [(20, True), (10, True), (25, True), (31, False)])
def test_a_model_that_is_no_better_than_as_it_started_is_marked(study, num, marked):
    runs = models(study, "a", right(num), untrained=right(20))
    comparison = compare(runs)
    assert gates(comparison) == {"a": {"no gain"} if marked else set()}
    p = stats.binomtest(max(0, num - 20), abs(num - 20)).pvalue if num != 20 else 1.0
    notes = [note for note in block(comparison).notes if note.startswith("no gain: ")]
    assert len(notes) == marked
    assert all(f"(a {100 * (num - 20) / NUM:+.1f} points, p {p:.3f})" in note for note in notes)


def test_an_untrained_model_of_one_seed_stands_beside_all(study):
    runs = models(study, "a", right(20), right(20))
    ask(runs[0], right(20), untrained=right(41))
    comparison = compare(runs)
    assert rows(comparison)["a"].untrained.value == 1
    assert gates(comparison) == {"a": {"untrained off chance", "no gain"}}
    assert "untrained: of seed 0 (a)" in block(comparison).notes
    ask(runs[1], right(20), untrained=right(37))
    comparison = compare(runs)
    assert rows(comparison)["a"].untrained.value == pytest.approx((41 + 37) / 2 / NUM)
    assert not [note for note in block(comparison).notes if note.startswith("untrained: ")]


@pytest.mark.parametrize(
    ("bits", "changes", "marked"),
    [
        (2.51, {}, True),
        (2.49, {}, False),
        (2.51, {"likelihood": "pseudo"}, False),
        (2.51, {"likelihood": "bound"}, True),
        (2.51, {"step": 50}, False),
    ],
)
def test_a_likelihood_no_better_than_the_anchor_is_marked(study, bits, changes, marked):
    runs = models(study, "a", right(38), untrained=EVEN)
    evaluate(runs[0], bits, **changes)
    comparison = compare(runs)
    assert gates(comparison) == {"a": {"below unigram"} if marked else set()}
    what = "(a seed 0: validation 2.510, anchor 2.500 bits/byte)"
    assert any(what in note for note in block(comparison).notes) is marked
    said = [note for note in comparison.notes if note.startswith("a: no better than the fr")]
    assert len(said) == marked, "and below the table of likelihoods too"


def test_the_best_scoring_of_a_text_is_held_against_the_anchor(study):
    """A bound may be a loose one."""
    run = write_run(study, "mdlm", 0)
    evaluate(run, 2.75, scoring="bound")
    assert any("no better than the frequencies" in note for note in compare([run]).notes)
    evaluate(run, 2.25, scoring="left-to-right")
    assert not any("no better than the frequencies" in note for note in compare([run]).notes)


def test_answers_that_change_with_the_batch_are_marked(study):
    steady = models(study, "a", right(38), untrained=EVEN, alone=8)
    shaky = models(study, "b", right(38), untrained=EVEN, alone=8, alone_differs=3)
    comparison = compare(steady + shaky)
    assert gates(comparison) == {"a": set(), "b": {"batch-dependent"}}
    [note] = [note for note in block(comparison).notes if note.startswith("batch-dependent: ")]
    assert note.endswith("(b 3 of 8 examples)")


@pytest.mark.parametrize(
    ("times", "source", "said"), [(1.3, "w", 1), (1.1, "w", 0), (1.3, "test", 0)]
)
def test_text_of_another_domain_is_said(study, times, source, said):
    run = write_run(study, "clm", 0)
    unigram = 2.5 * NUM_BYTES * LN2
    evaluate(run, 1.0, source=source, text="dada" * 4, unigram_nats=times * unigram)
    assert not any("domain" in note for note in compare([run]).notes), "nothing to hold it against"
    evaluate(run, 1.0)
    notes = [note for note in compare([run]).notes if "domain" in note]
    assert len(notes) == said
    expected = f"{source} dadadada (1.30 times that of the validation text: clm)"
    assert all(note.endswith(expected) for note in notes)
