"""Benchmarks with known answers: what is compared, what is said of it, and what is marked."""

import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from lmcompare.comparison import FORMATS, Comparison, compare, write_tables
from lmcompare.comparison.figures.learning_curves import draw
from lmcompare.comparison.formats import to_csv, to_json, to_markdown, to_tex
from lmcompare.comparison.sanity_checks import in_words
from lmcompare.comparison.tables.tasks import HEADINGS, MARKS, BenchmarkRow, BenchmarkTable, Block
from lmcompare.config.budget import Spent
from lmcompare.errors import UserError
from lmcompare.evaluation.tasks.record import TaskItem, TaskRecord, Trial
from lmcompare.runs.run import Run
from tests.comparison.test_compare import LN2, NUM_BYTES, arm, evaluate, write_run
from tests.terminals import be_terminal

NUM = 41  # examples


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "first"


def right(num: int, *, of: int = NUM) -> list[float]:
    """The first so many examples are right."""
    return [1.0] * num + [0.0] * (of - num)


def ask(
    run: Run,
    gained: Sequence[float] | None,
    *,
    untrained: Sequence[float] | None = None,
    possible: Sequence[float] | float = 1.0,
    parts: Sequence[Mapping[str, str]] | None = None,
    **changes: Any,
) -> TaskRecord:
    """Keep answers to a benchmark, and those of the model as it started if there are any."""
    record, last = run.record(), run.last_metrics()
    assert last is not None
    num = len(gained or [0.0] * NUM)
    shares = [float(possible)] * num if isinstance(possible, float | int) else [*possible]

    def keep(gained: Sequence[float] | None, **more: Any) -> TaskRecord:
        items = [
            TaskItem(item=3 * i, gained=each, possible=share, parts=parts[i] if parts else {})
            for i, (each, share) in enumerate(zip(gained or [], shares, strict=False))
        ]
        levels: dict[str, dict[str, list[float]]] = {}
        for item in items:
            for level, part in item.parts.items():
                levels.setdefault(level, {}).setdefault(part, []).append(item.gained)
        known = {
            "task": "zorro",
            "arm": record.arm,
            "seed": record.config.seed,
            "source": "zorro/*.txt",
            "text": "cafe" * 8,
            "step": last.step,
            "kind": "pairs",
            "group": "grammar",
            "version": 1,
            "way": "asked",
            "metric": "accuracy",
            "chance": 0.5,
            "num_items": num,
        }
        answer = {
            "protocol": "causal of whole sentences, summed",
            "scoring": "causal",
            "likelihood": "exact",
            "value": sum(gained or []) / sum(shares),
            "standard_error": 0.0625,
            "parts": {
                level: {part: (sum(own) / len(own), len(own)) for part, own in each.items()}
                for level, each in levels.items()
            },
        }
        known |= answer if gained else {}
        kept = TaskRecord(**(known | changes | more))
        run.results.write(kept, items)
        return kept

    if untrained is not None:
        keep(untrained, step=0)
    return keep(gained)


def models(study: Path, name: str, *answers: Sequence[float], **changes: Any) -> list[Run]:
    """An arm whose seeds answered so; as they started they were at chance."""
    runs = []
    for seed, gained in enumerate(answers):
        runs.append(write_run(study, name, seed, settings={"objective": "clm"}))
        ask(runs[-1], gained, **changes)
    return runs


def only(comparison: Comparison) -> BenchmarkTable:
    [table] = comparison.tables["benchmark"]
    return table


def block(comparison: Comparison) -> Block:
    [found] = only(comparison).blocks
    return found


def rows(comparison: Comparison) -> dict[str, BenchmarkRow]:
    return {row.label: row for row in block(comparison).rows}


# the table


def test_each_arm_stands_beside_the_reference(study):
    runs = (
        models(study, "a", right(20)) + models(study, "b", right(38)) + models(study, "c", right(9))
    )
    comparison = compare(runs)
    found = rows(comparison)
    assert block(comparison).reference == "a"
    assert found["a"].difference is None
    assert found["b"].difference.value == pytest.approx(18 / NUM)
    assert found["c"].difference.value == pytest.approx(-11 / NUM)
    assert found["b"].p == pytest.approx(stats.binomtest(18, 18).pvalue)
    for each in "bc":  # by Sidak's formula, which knows no ranks
        assert found[each].corrected_p == pytest.approx(1 - (1 - found[each].p) ** 2)
    assert [found[each].verdict for each in "abc"] == [None, "wins", "loses"]
    assert [found[each].test for each in "abc"] == [None, "McNemar", "McNemar"]
    assert only(comparison).notes[0] == (
        "p, verdicts and the intervals of differences: of 2 comparisons in this table, corrected "
        "for all of them together."
    )


def test_the_cells_say_what_is_known(study):
    runs = models(study, "a", right(20), untrained=[1.0, 0.0] * 20 + [0.5])
    runs += models(study, "b", right(38), scoring="pll", likelihood="pseudo")
    runs += models(study, "c", right(0), scoring="bound", likelihood="bound")
    runs += models(study, "d", None, reason="it cannot")
    found = block(compare(runs))
    assert found.subtitle == "zorro: accuracy, 41 examples cafecafe"
    cells = dict(zip("abcd_", found.cells, strict=True))
    assert all(len(row) == len(HEADINGS) for row in found.cells)
    assert re.fullmatch(r"48\.8 \[\d\d\.\d, \d\d\.\d\]", cells["a"][1])
    assert cells["a"][2:] == ["reference", "", "50.0", "no gain", "causal", "1"]
    assert re.fullmatch(r"\+43\.9 \[\d\d\.\d, \d\d\.\d\]", cells["b"][2])
    assert cells["b"][3:] == ["wins <0.001", "", "", "~pll", "1"]
    assert cells["c"][1] == "0.0 [0.0, 8.6]"
    assert cells["c"][6] == "≤bound"
    assert cells["d"][1:] == ["—", "", "", "", "", "", "0 of 1"]
    assert cells["_"] == ["chance", "50.0", *[""] * 6]
    assert "— d: it cannot" in found.notes


def test_nothing_is_the_best(study):
    runs = models(study, "a", right(20)) + models(study, "b", right(41))
    text = FORMATS["md"](compare(runs))
    assert "best" not in text[text.index("Benchmarks of") : text.index("±: half")]


def test_values_are_of_sums_and_seeds_are_averaged(study):
    possible = [1.0, 2.0, 3.0, 5.0]
    runs = models(study, "a", [1, 2, 3, 5], [0, 2, 3, 0.5], possible=possible, metric="micro-F1")
    row = rows(compare(runs))["a"]
    assert row.value.value == pytest.approx((1 + 0.5) / 2)
    assert (row.seeds, row.num_runs) == ((0, 1), 2)


def test_seeds_that_differ_take_a_verdict_back(study):
    """By its examples alone the second arm is better, but one of its seeds is not."""
    flat = right(201, of=401)
    runs = models(study, "a", flat, flat, flat)
    runs += models(study, "b", right(211, of=401), right(371, of=401), right(201, of=401))
    row = rows(compare(runs))["b"]
    assert row.test == "items and seeds"
    assert row.corrected_p > 0.05
    assert not row.difference.excludes(0)
    assert row.verdict == "ties"
    twice = rows(compare([runs[0], runs[1], runs[3], runs[4]]))["b"]
    assert twice.test == "items"
    assert twice.corrected_p < 0.001
    assert twice.verdict == "wins"


def test_few_seeds_speak_of_models_only(study):
    runs = models(study, "a", right(20)) + models(study, "b", right(20), right(21), right(20))
    comparison = compare(runs)
    [note] = [note for note in only(comparison).notes if note.startswith("fewer than 3 seeds")]
    assert note.endswith("or beside it, is about these models, not about objectives: a")
    assert rows(comparison)["b"].test == "items"
    should_stop = models(study, "c", right(20), right(21), right(20))
    assert not any(note.startswith("fewer") for note in only(compare(should_stop)).notes)


def test_comparisons_are_corrected_over_all_tasks_of_a_group(study):
    runs = models(study, "a", right(20)) + models(study, "b", right(26))
    alone = rows(compare(runs))["b"]
    assert alone.corrected_p == alone.p < 0.05
    assert alone.verdict == "wins"
    for task, group in (("blimp", "grammar"), ("clams", "grammar"), ("comve", "understanding")):
        for run in runs:
            ask(run, right(20), task=task, group=group)
    grammar, understanding = compare(runs).tables["benchmark"]
    assert (grammar.group, understanding.group) == ("grammar", "understanding")
    assert [each.task for each in grammar.blocks] == ["blimp", "clams", "zorro"]
    again = grammar.blocks[-1].rows[1]
    assert again.corrected_p == pytest.approx(1 - (1 - alone.p) ** 3)
    assert again.corrected_p > 0.05
    assert again.verdict == "ties"
    assert understanding.notes[0].startswith("p, verdicts and the intervals of differences: of one")


def test_ways_are_asked_apart(study):
    runs = models(study, "a", right(20))
    ask(runs[0], right(30), way="0-shot")
    blocks = only(compare(runs)).blocks
    assert [each.way for each in blocks] == ["0-shot", "asked"]
    assert blocks[0].subtitle.startswith("zorro 0-shot: ")


def test_a_protocol_is_told_where_no_scoring_says_it(study):
    runs = models(study, "a", right(20), scoring=None, likelihood=None, protocol="a probe")
    found = block(compare(runs))
    assert "asked: a probe (a)" in found.notes
    assert found.cells[0][6] == ""


def test_the_parts_of_the_coarsest_level_are_a_small_table(study):
    parts = [{"fine": f"f{i % 7}", "coarse": "odd_one" if i % 2 else "even"} for i in range(NUM)]
    runs = models(study, "a", right(20), right(22), parts=parts) + models(study, "b", right(41))
    found = block(compare(runs))
    (smaller,) = found.smaller
    assert smaller.headings == ["coarse", "a", "examples"]
    assert smaller.cells == [
        ["even", f"{100 * (10 + 11) / 2 / 21:.1f}", "21"],
        ["odd_one", f"{100 * (10 + 11) / 2 / 20:.1f}", "20"],
    ]


def tried(best: float, *, pooling: str = "mean", cut_off: bool = False) -> dict[str, Any]:
    """Three rates with one pooling, one with another."""
    other = "last" if pooling == "mean" else "mean"
    trials = [
        *(
            Trial(
                pooling=pooling,
                learning_rate=rate,
                validation=0.75 if rate == best else 0.5,
                loss=1.0,
                steps=7,
                chosen=rate == best,
                cut_off=cut_off and rate == best,
            )
            for rate in (3e-4, 1e-3, 3e-3)
        ),
        Trial(pooling=other, learning_rate=1e-3, validation=0.25, loss=1.0, steps=7),
    ]
    return {"settings": {"learning rate": best, "steps at most": 3000.0}, "trials": trials}


def test_it_is_told_how_it_was_learned(study):
    runs = []
    for seed, pooling in enumerate(("mean", "last", "mean")):
        runs.append(write_run(study, "a", seed, settings={"objective": "clm"}))
        ask(
            runs[-1],
            right(20),
            figures={"frozen probe": (20 + seed) / NUM},
            **tried(1e-3, pooling=pooling, cut_off=seed == 1),
        )
    runs += models(study, "b", right(20), figures={"frozen probe": 0.25}, **tried(1e-3))
    runs += models(study, "c", right(20))
    notes = block(compare(runs)).notes
    assert (
        "pooling, chosen by validation (its scores there): a mean (2 of 3) or last (1 of 3) of "
        "mean 58.3, last 41.7; b mean of mean 75.0, last 25.0"
    ) in notes
    assert "still improved when the most steps were done: a 1 of 3" in notes
    assert "fine-tuned below their own frozen probe: a 2 of 3" in notes
    (_, beyond, *_) = [each for run in runs for each in run.results.read(TaskRecord)]
    assert beyond.remarks == [
        "pooling last, chosen by validation: last 75.0%, mean 25.0%",
        "still improving after 3,000 steps, the most",
        "fine-tuned below its own frozen probe",
    ]


def test_rates_at_the_edge_are_told(study):
    runs = []
    for seed, best in enumerate((3e-3, 1e-3, 3e-3)):
        runs.append(write_run(study, "a", seed, settings={"objective": "clm"}))
        ask(runs[-1], right(20), **tried(best))
    runs += models(study, "b", right(20), **tried(3e-4))
    runs += models(study, "c", right(20), **tried(1e-3))
    runs += models(study, "d", right(20))
    notes = block(compare(runs)).notes
    for end, labels in (("highest", "a 2 of 3"), ("lowest", "b 1 of 1")):
        assert f"learned best at the {end} rate or L2 strength that may be tried: {labels}" in notes
    assert len([note for note in notes if "rate or L2" in note]) == 2


def test_it_is_told_which_of_two_stacks_was_read(study):
    runs = models(study, "a", right(20), right(21), settings={"states of": "the encoder"})
    runs += models(study, "b", right(20), settings={"states of": "the encoder"})
    runs += models(study, "c", right(20), settings={"states of": "the decoder"})
    runs += models(study, "d", right(20))
    notes = [note for note in block(compare(runs)).notes if note.startswith("states of")]
    assert notes == ["states of the encoder: a, b", "states of the decoder: c"]


def test_other_figures_are_a_small_table_and_rows_of_the_frame(study):
    """Means over seeds, of those that all seeds have."""
    runs = []
    for seed, share in enumerate((0.25, 0.5)):
        runs.append(write_run(study, "a", seed, settings={"objective": "clm"}))
        ask(runs[-1], right(20), figures={"macro-F1": share, **({"odd": 1.0} if seed else {})})
    runs += models(study, "b", right(30), figures={"macro-F1": 0.125, "nats": 9.0})
    runs += models(study, "c", right(30))
    found = compare(runs)
    (smaller,) = block(found).smaller
    assert smaller.headings == ["also", "a", "b"]
    assert smaller.cells == [["macro-F1", "0.375", "0.125"], ["nats", "", "9.000"]]
    frame = found.frame[found.frame.metric == "zorro macro-F1"]
    assert [*frame.value] == [0.25, 0.5, 0.125]
    assert frame.unit.isna().all()
    assert to_markdown(found).count("macro-F1") == 1
    assert to_tex(found).count("macro-F1") == 1
    rows = json.loads(to_json(found))["tables"]["benchmark"][0]["blocks"][0]["rows"]
    assert [row["figures"] for row in rows] == [
        {"macro-F1": 0.375},
        {"macro-F1": 0.125, "nats": 9.0},
        {},
    ]


def test_many_parts_are_not_shown(study):
    parts = [{"paradigm": f"p{i % 17}"} for i in range(NUM)]
    assert block(compare(models(study, "a", right(20), parts=parts))).smaller == []


def test_differences_stand_in_the_frame(study):
    draw = np.random.default_rng(5)
    runs = [
        run
        for share, name in zip((0.3, 0.6, 0.9), "abc", strict=True)
        for run in models(study, name, *((draw.random((3, NUM)) < share) * 1.0).tolist())
    ]
    comparison = compare(runs, reference="b")
    frame = comparison.frame
    found = frame[frame["reference"].notna()].set_index("label")
    assert list(found.index) == ["a", "c"]
    assert set(frame["metric"]) >= {"zorro accuracy", "zorro accuracy difference"}
    for label, row in rows(comparison).items():
        if label == "b":
            continue
        there = found.loc[label]
        assert there["metric"] == "zorro accuracy difference"
        assert (there["reference"], there["n"], there["unit"]) == ("b", NUM, "share")
        assert (there["value"], there["low"], there["high"]) == (
            *(row.difference.value, row.difference.low, row.difference.high),
        )
        assert (there["p"], there["corrected_p"]) == (row.p, row.corrected_p)
        assert (there["verdict"], there["test"]) == (row.verdict, "items and seeds")
    assert found[["seed", "run", "step"]].isna().all(axis=None)
    rest = frame[frame["reference"].isna()]
    assert rest["seed"].notna().all()
    assert rest[["low", "high", "p", "corrected_p", "verdict", "test"]].isna().all(axis=None)
    csv = pd.read_csv(io.StringIO(to_csv(comparison)))
    assert csv["verdict"].dropna().tolist() == ["loses", "wins"]
    assert csv["corrected_p"].dropna().tolist() == pytest.approx(found["corrected_p"].tolist())


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5])
def test_two_arms_have_one_p(study, num_seeds):
    """Whichever of them is the reference, exactly; one comparison needs no correction."""
    draw = np.random.default_rng(num_seeds)
    runs = [
        run
        for share, name in zip((0.5, 0.8), "ab", strict=True)
        for run in models(study, name, *((draw.random((num_seeds, NUM)) < share) * 1.0).tolist())
    ]
    there, back = (
        rows(compare(runs, reference=reference))[label]
        for label, reference in (("a", "b"), ("b", "a"))
    )
    assert 0 < there.p < 1
    assert there.p == back.p == there.corrected_p == back.corrected_p
    assert there.difference.low == -back.difference.high


# the reference


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


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5])
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
    assert {p: in_words(p) for p in shown} == shown


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
    assert "no benchmark was asked, so nothing is compared with clm" in comparison.notes


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
    assert f"not asked: lmcompare eval --tasks zorro {other[0].path}" in found.notes


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
    again = f"lmcompare eval --tasks zorro {old[0].path}"
    assert f"asked at step 50 of 100 and left out: {again}" in comparison.notes
    assert f"not asked: {again}" in block(comparison).notes
    assert list(rows(comparison)) == ["a"]


def test_seeds_that_were_not_asked_are_counted_out(study):
    runs = models(study, "a", right(20), right(21))
    runs.append(write_run(study, "a", 2, settings={"objective": "clm"}))
    found = block(compare(runs))
    assert found.cells[0][-1] == "2 of 3"
    assert f"not asked: lmcompare eval --tasks zorro {runs[-1].path}" in found.notes


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
    assert "missing or damaged: the same `lmcompare eval`" in note


# gates

EVEN = [float(i % 2) for i in range(1, NUM)] + [0.5]  # at chance


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


# the frame and the files


@pytest.fixture
def full(study) -> Comparison:
    parts = [{"phenomenon": "a_b" if i % 2 else "c|d"} for i in range(NUM)]
    runs = models(study, "a_1", right(20), untrained=right(30), parts=parts)
    runs += models(
        study, "b", right(38), untrained=EVEN, parts=parts, scoring="pll", likelihood="pseudo"
    )
    return compare(runs)


def test_the_frame_holds_values_and_their_errors(full):
    frame = full.frame
    own = frame[(frame["way"] == "asked") & (frame["label"] == "a_1")].set_index("metric")
    assert own["value"].to_dict() == pytest.approx(
        {"zorro accuracy": 20 / NUM, "untrained zorro accuracy": 30 / NUM, "zorro chance": 0.5}
    )
    row = own.loc["zorro accuracy"]
    assert (row["unit"], row["standard_error"], row["n"], row["step"]) == (
        "share",
        0.0625,
        NUM,
        100,
    )
    assert own.loc["untrained zorro accuracy", "step"] == 0
    assert not any("sampled" in note for note in full.notes), "no sampling, but examples"
    assert not frame.duplicated(["run", "metric"]).any()


def test_markdown_holds_the_benchmarks(full):
    text = FORMATS["md"](full)
    assert "### Benchmarks of grammar" in text
    [row] = [line for line in text.splitlines() if line.startswith("| b ") and "wins" in line]
    assert "\\~pll" in row or "~pll" in row
    assert [line for line in text.splitlines() if line.startswith("| c\\|d")]
    assert text.count(MARKS[1].replace("<", "\\<")) == 1


def test_tex_holds_the_benchmarks(full):
    text = FORMATS["tex"](full)
    assert text.isascii()
    assert r"\caption{Benchmarks of grammar. zorro" in text
    assert "chance & 50.0 & " in text
    assert r"a\_b & " in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_json_holds_the_benchmarks(full):
    [table] = json.loads(FORMATS["json"](full))["tables"]["benchmark"]
    one, two = table["blocks"][0]["rows"]
    assert (one["verdict"], two["verdict"]) == (None, "wins")
    assert two["difference"]["value"] == pytest.approx(18 / NUM)
    assert one["gates"].keys() == {"untrained off chance", "no gain"}


def test_nothing_is_said_where_no_benchmark_was_asked(study):
    comparison = compare(arm(study, "clm", [1.0]))
    for layout in ("md", "tex"):
        assert "Benchmark" not in FORMATS[layout](comparison)
        assert "untrained" not in FORMATS[layout](comparison)


# the command line


def invoke(*arguments: object) -> Any:
    import typer

    from lmcompare_cli.commands.compare import compare as command

    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_the_benchmarks_fit_a_terminal_of_100_columns(study, monkeypatch):
    parts = [{"phenomenon": "agreement_determiner_noun" if i % 2 else "b"} for i in range(NUM)]
    for number in range(13):
        models(
            study,
            f"an-arm-of-{number:02}",
            *(right(20 - number + 2 * each) for each in range(3)),
            untrained=right(41),
            parts=parts,
            scoring="left-to-right",
            likelihood="bound",
        )
    be_terminal(monkeypatch, 100)
    result = invoke(study, "--no-write", "--reference", "an-arm-of-12")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    shown = [" ".join(line.split()) for line in lines]
    found = [line for line in shown if line.startswith("an-arm-of-00 ")]
    assert re.fullmatch(
        r"an-arm-of-00 53\.7 \[.*\] \+29\.3 \[.*\] wins 0\.0\d\d 100\.0 "
        r"untrained off chance, no gain",
        found[0],
    )
    assert found[1] == "an-arm-of-00 ≤left-to-right 3"
    heads = [line for line in shown if line.startswith("phenomenon")]
    assert len(heads) > 1
    assert [f"an-arm-of-{number:02}" in " ".join(heads) for number in range(13)] == [True] * 13
    assert sum(line.startswith("agreement_determiner_noun") for line in shown) == len(heads)


def test_ascii_is_enough_for_benchmarks(study):
    models(study, "a", right(20), untrained=right(41), likelihood="bound", scoring="bound")
    command = "import typer, lmcompare_cli.commands.compare as c; typer.run(c.compare)"
    done = subprocess.run(
        [sys.executable, "-c", command, str(study), "--no-write"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()
    assert b"<=bound" in done.stdout
    assert b"?" not in done.stdout


def test_an_unknown_reference_is_an_error_of_the_command(study):
    models(study, "a", right(20))
    error = invoke(study, "--no-write", "--reference", "z").exception
    assert isinstance(error, UserError)
    assert "\n" not in str(error)


def test_figures_are_the_same_each_time(study):
    runs = models(study, "a", *(right(20 + n) for n in range(3)))
    runs += models(study, "b", *(right(25 + n) for n in range(3)))
    one, two = (FORMATS["json"](compare(runs)) for _ in range(2))
    assert one == two
    assert not math.isnan(rows(compare(runs))["b"].p)


# learning curves


def on_its_way(study: Path) -> list[Run]:
    """Two seeds that were asked at several steps, and one arm that was asked at its end alone."""
    runs = models(study, "a", right(30), right(32), untrained=EVEN)
    for number, run in enumerate(runs):
        last = run.last_metrics()
        assert last is not None
        for share in (0.25, 0.5):
            ask(
                run,
                right(20 + number + round(8 * share)),
                step=round(share * last.step),
                spent=Spent(steps=round(share * last.step), tokens=round(1000 * share), flops=7),
            )
    return runs + models(study, "b", right(38), untrained=EVEN)


def test_a_learning_curve_goes_from_the_start_to_the_end(study):
    [curves] = compare(on_its_way(study)).tables["curves"]
    assert (curves.name, curves.metric, curves.chance) == ("zorro", "accuracy", 0.5)
    assert [(line.label, line.seed) for line in curves.lines] == [("a", 0), ("a", 1)]
    values = [[round(NUM * point.value, 6) for point in line.points] for line in curves.lines]
    assert values == [[20.5, 22, 24, 30], [20.5, 23, 25, 32]]
    assert [point.spent.tokens for point in curves.lines[0].points][1:3] == [250, 500]
    assert rows(compare(on_its_way(study)))["a"].value.value == 31 / NUM, "the table is of the end"
    written = json.loads(FORMATS["json"](compare(on_its_way(study))))["tables"]["curves"]
    assert written[0]["lines"][1]["points"][2]["value"] == 25 / NUM
    assert written[0]["lines"][1]["points"][2]["spent"]["flops"] == 7


def test_ends_alone_are_no_curve(study):
    assert compare(models(study, "a", right(30), untrained=EVEN)).tables["curves"] == []


def test_learning_curves_are_drawn(study, tmp_path):
    pytest.importorskip("matplotlib")
    runs = on_its_way(study)
    paths = write_tables(compare(runs), tmp_path / "tables", name="compare")
    assert [path.name for path in paths[len(FORMATS) :]] == ["compare-curves-zorro.svg"]
    drawn = paths[-1].read_text()
    for said in ("tokens read", "targets predicted", "FLOPs", "seconds of training", ">a<"):
        assert said in drawn
    assert ">b<" not in drawn
    [curves] = compare(runs).tables["curves"]
    assert draw(curves) == draw(curves) == paths[-1].read_bytes()
    assert draw(curves, format="png").startswith(b"\x89PNG")
