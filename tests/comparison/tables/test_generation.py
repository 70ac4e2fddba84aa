"""What was written, and what is said of it."""

import json

import pytest
from scipy import stats

from lmcompare.comparison import FORMATS, compare
from tests.comparison.known_answers import JUDGE, third, wrote
from tests.comparison.known_runs import CLOSE, FAR, arm, causal, fact, marks, rows, write_run


def test_what_was_written_is_averaged_over_seeds(study):
    runs = arm(study, "clm", CLOSE)
    for run, bits, distinct in zip(runs, (1.5, 1.75, 2.0), (0.5, 0.625, 0.75), strict=True):
        wrote(run, bits, distinct)
    table = third(compare(runs))
    [row] = table.rows
    low, high = stats.t.interval(0.95, 2, loc=1.75, scale=stats.sem([1.5, 1.75, 2.0]))
    bits = row.estimates["judge_bits_per_byte"]
    assert (bits.mean, bits.low, bits.high) == pytest.approx((1.75, low, high))
    assert row.estimates["distinct_2"].mean == pytest.approx(0.625)
    assert (row.method, row.settings, row.seeds) == ("left-to-right", "temperature 1", [0, 1, 2])
    assert table.subtitle == (
        "10 texts of validation 9abc9abc: 48 tokens after 16; judge clm-s7-12345678 (clm, 9M "
        "parameters)"
    )
    shown, itself = table.cells
    assert shown == [
        *("clm", "left-to-right", "temperature 1", "1.750 ±0.622", "6.50"),
        *("0.625 ±0.311", "0.375", "12.5%", "6.2%", "21.1", "0.500", "3M", "101", "1,009"),
        *("10.3", "13"),
    ]
    assert itself == [
        *("the text itself", "", "", "2.125", "6.50", "0.875", "0.375"),
        *("12.5%", "6.2%", "21.1", *[""] * 6),
    ]
    assert table.notes == []


def test_one_seed_has_an_interval_over_its_texts(study):
    [run] = arm(study, "clm", [1.0])
    wrote(run, 1.5)
    table = third(compare([run]))
    [row] = table.rows
    for metric, error in (("judge_bits_per_byte", 0.125), ("distinct_2", 0.01)):
        estimate = row.estimates[metric]
        assert estimate.half_width == pytest.approx(stats.t.ppf(0.975, 10 - 1) * error)
        assert estimate.num == 1
    assert row.estimates["self_bleu"].half_width is None
    assert table.cells[0][3:6] == ["1.500 ±0.283", "6.50", "0.500 ±0.023"]


def test_what_has_no_error_has_no_interval(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [1.0], settings={"objective": "mlm"})
    wrote(runs[0], 1.5, figures={"judge_error": None, "distinct_2_error": None})
    wrote(runs[1], None, figures={"distinct_2_error": None})
    tables = compare(runs).tables["generation"]
    cells = {table.rows[0].label: table.cells[0] for table in tables}
    assert cells["clm"][3:6] == ["1.500 ±—", "6.50", "0.500 ±—"]
    assert cells["mlm"][3:6] == ["—", "6.50", "0.500 ±—"]


def test_a_figure_that_some_seeds_lack_is_said(study):
    runs = arm(study, "clm", CLOSE)
    for run in runs[:2]:
        wrote(run, 1.5)
    wrote(runs[2], 1.5, figures={"distinct_2": None, "distinct_2_error": None, "verbatim": None})
    table = third(compare(runs))
    assert table.notes == [
        "clm left-to-right, temperature 1: distinct-2 and verbatim of 2 of 3 seeds, the others "
        "have none"
    ]
    assert table.rows[0].estimates["judge_bits_per_byte"].num == 3


def test_each_way_of_writing_is_a_row(study):
    runs = arm(study, "mdlm", [1.0], settings={"objective": "mdlm"}) + arm(study, "clm", [1.0])
    for temperature in (1.0, 0.5):
        for steps in (32, 8):
            wrote(runs[0], 2.0, sampler={"temperature": temperature, "steps": steps})
    wrote(runs[0], 2.0, method="threshold", sampler={"temperature": 1.0, "top_p": 0.9})
    wrote(runs[1], 2.0)
    assert [row[:3] for row in third(compare(runs)).cells] == [
        ["clm", "left-to-right", "temperature 1"],
        ["mdlm", "ancestral", "temperature 0.5, steps 8"],
        ["mdlm", "ancestral", "temperature 0.5, steps 32"],
        ["mdlm", "ancestral", "temperature 1, steps 8"],
        ["mdlm", "ancestral", "temperature 1, steps 32"],
        ["mdlm", "threshold", "temperature 1, top-p 0.9"],
        ["the text itself", "", ""],
    ]


def test_what_was_written_is_in_the_frame_and_in_no_other_table(study):
    [run] = arm(study, "clm", [1.0])
    before = rows(compare([run]))["clm"].estimates
    wrote(run, 1.5, sampler={"temperature": 0.5, "steps": 7, "top_p": 0.9})
    comparison = compare([run])
    assert rows(comparison)["clm"].estimates == before
    frame = comparison.frame[comparison.frame["method"].notna()].set_index("metric")
    assert frame.loc["judge_bits_per_byte", "value"] == pytest.approx(1.5)
    assert frame.loc["reference_judge_bits_per_byte", "value"] == pytest.approx(2.125)
    assert frame.loc["judge_bits_per_byte", "standard_error"] == 0.125
    assert frame.loc["reference_distinct_2", "value"] == 0.875
    assert frame.loc["passes_per_written_token", ["value", "unit"]].tolist() == [
        0.5,
        "passes/token",
    ]
    about = ["temperature", "decoding_steps", "top_p", "settings", "judge", "text", "n"]
    assert frame.loc["verbatim", about].tolist() == [
        *(0.5, 7, 0.9, "temperature 0.5, top-p 0.9, steps 7"),
        *(JUDGE.name, "9abc" * 4, 10),
    ]
    assert not [note for note in comparison.notes if note.startswith("sampled")]
    assert "reference_passes_per_written_token" not in frame.index


def test_other_prompts_and_judges_have_tables_of_their_own(study):
    runs = [write_run(study, name, 0, settings={"objective": "clm"}) for name in "abcd"]
    other = JUDGE.model_copy(update={"step": 600})
    wrote(runs[0], 1.5)
    wrote(runs[1], 1.5, text="def0" * 4)
    wrote(runs[2], 1.5, judge=other)
    wrote(runs[3], None)
    comparison = compare(runs)
    found = [
        ([row.label for row in table.rows], table.judge)
        for table in comparison.tables["generation"]
    ]
    assert found == [(["d"], None), (["a"], JUDGE), (["c"], other), (["b"], JUDGE)]
    assert comparison.tables["generation"][0].cells[0][3] == "—"
    assert "no judge" in comparison.tables["generation"][0].subtitle
    assert any("what was written has no judge" in note for note in comparison.notes)
    assert not fact(comparison, "prompts").equal


def test_unlike_prompts_qualify_no_winner(study):
    runs = causal(study, a=CLOSE, b=FAR)
    wrote(runs[0], 1.5)
    wrote(runs[3], 1.5, text="def0" * 4)
    comparison = compare(runs)
    assert marks(comparison)["a"] == "best"
    assert not [note for note in comparison.notes if "objectives alone" in note]


def test_what_was_not_written_is_said(study):
    runs = arm(study, "clm", CLOSE) + arm(study, "mlm", FAR)
    for run in runs[:2]:
        wrote(run, 1.5)
    wrote(runs[2], 1.5, step=50)
    wrote(runs[3], 1.5, reason="mlm does not write")
    comparison = compare(runs)
    table = third(comparison)
    assert [row[:4] for row in table.cells[:2]] == [
        ["clm", "left-to-right", "temperature 1", "1.500 ±0.000"],
        ["mlm", "—", "temperature 1", "—"],
    ]
    assert "— mlm: mlm does not write" in table.notes
    assert "clm left-to-right, temperature 1: 2 of 3 seeds" in table.notes
    again = f"`lmcompare eval --tasks generation {runs[2].path}`"
    assert f"evaluated at step 50 of 100 and left out: {again}" in comparison.notes
    silent = (
        f"not asked to write: `lmcompare eval --tasks generation {runs[4].path} {runs[5].path}`"
    )
    assert silent in comparison.notes


def test_times_of_unlike_machines_are_said(study):
    runs = [write_run(study, name, 0) for name in ("clm", "mlm")]
    wrote(runs[0], 1.5)
    wrote(runs[1], 1.5, cost={"threads": 3})
    assert third(compare(runs)).notes == [
        "tokens/s do not compare, as they were taken on unlike machines (Some CPU, 2 threads: clm; "
        "Some CPU, 3 threads: mlm)"
    ]


def test_what_was_written_stands_in_every_file(study):
    runs = arm(study, "clm", [1.0])
    wrote(runs[0], 1.5)
    comparison = compare(runs)
    text = FORMATS["md"](comparison)
    assert "### What is written after the same prompts" in text
    [row] = [line for line in text.splitlines() if line.startswith("| the text itself")]
    assert "| 2.125" in row
    tex = FORMATS["tex"](comparison)
    assert r"the text itself & 2.125 & 6.50" in tex
    assert r"12.5\%" in tex
    read = json.loads(FORMATS["json"](comparison))
    assert read["tables"]["generation"][0]["judge"]["num_parameters"] == 9_000_001
    assert read["tables"]["generation"][0]["rows"][0]["estimates"]["distinct_2"]["mean"] == 0.5
    assert read["tables"]["generation"][0]["itself"]["distinct_2"] == [0.875, 0.875]
