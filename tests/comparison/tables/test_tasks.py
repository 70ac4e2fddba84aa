"""Benchmarks with known answers: the table, its cells and its marks."""

import io
import json
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lmcompare.comparison import FORMATS, compare
from lmcompare.comparison.formats import to_csv, to_json, to_markdown, to_tex
from lmcompare.comparison.tables.tasks import HEADINGS
from lmcompare.evaluation.tasks.record import TaskRecord, Trial
from tests.comparison.known_runs import write_run
from tests.comparison.known_scores import NUM, ask, block, models, only, right, rows


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
    max_score = [1.0, 2.0, 3.0, 5.0]
    runs = models(study, "a", [1, 2, 3, 5], [0, 2, 3, 0.5], max_score=max_score, metric="micro-F1")
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


def test_protocols_are_asked_apart(study):
    runs = models(study, "a", right(20))
    ask(runs[0], right(30), protocol="0-shot")
    blocks = only(compare(runs)).blocks
    assert [each.protocol for each in blocks] == ["0-shot", "asked"]
    assert blocks[0].subtitle.startswith("zorro 0-shot: ")


def test_a_protocol_is_told_where_no_scoring_says_it(study):
    runs = models(study, "a", right(20), scoring=None, likelihood=None, description="a probe")
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


def test_figures_are_the_same_each_time(study):
    runs = models(study, "a", *(right(20 + n) for n in range(3)))
    runs += models(study, "b", *(right(25 + n) for n in range(3)))
    one, two = (FORMATS["json"](compare(runs)) for _ in range(2))
    assert one == two
    assert not math.isnan(rows(compare(runs))["b"].p)
