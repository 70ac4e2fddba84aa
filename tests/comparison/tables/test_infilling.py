"""The same questions about hidden tokens to all."""

import json
import math

import pytest
from scipy import stats

from lmcompare.comparison import FORMATS, collect, compare
from lmcompare.runs.run import Run
from tests.comparison.known_answers import NO, ask
from tests.comparison.known_runs import CLOSE, FAR, LN2, arm, fact, rows, write_run


@pytest.fixture
def questioned(study) -> list[Run]:
    """Three seeds each: from both sides, from the left, and a bound; one does not answer all."""
    runs = arm(study, "mlm", FAR) + arm(study, "clm", CLOSE)
    runs += arm(study, "mdlm", FAR, settings={"objective": "mdlm"})
    for run in runs:
        record = run.record()
        more = record.config.seed / 100
        if record.arm == "mlm":
            ask(run, 1 + more, 1.5 + more, 2 + more, None)
        elif record.arm == "clm":
            ask(run, 1.1, 2 + more, 2.1 + more, 2.2 + more, scoring="causal", given="left")
        else:
            bound = {"scoring": "bound", "likelihood": "bound", "standard_error": 0.5}
            ask(run, 1.2, 2, 3, 4, protocol="random-orders", **bound)
    return runs


TABLE = [
    ["arm", "asked", "one", "15%", "50%", "second half"],
    ["clm", "in-order", "1.100 ±0.000 l", "2.010 ±0.025 l", "2.110 ±0.025 l", "2.210 ±0.025"],
    ["mlm", "in-order", "1.010 ±0.025", "1.510 ±0.025", "2.010 ±0.025 n", "—"],
    ["mdlm", "random-orders", "≤1.200 ±0.000", "≤2.000 ±0.000", "≤3.000 ±0.000", "≤4.000 ±0.000"],
    ["unigram anchor", "", "2.500", "2.500", "2.500", "2.500"],
]


def second(markdown: str) -> list[list[str]]:
    """The cells of the second table."""
    start, end = markdown.index("The same question to all"), markdown.find("### Control sheet")
    lines = markdown[start : end if end > 0 else None].splitlines()
    table = [line for line in lines if line.startswith("|") and not line.startswith("|:")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_same_question_to_all_is_a_table_of_its_own(questioned):
    comparison = compare(questioned)
    [table] = comparison.tables["infilling"]
    assert second(FORMATS["md"](comparison)) == TABLE
    assert table.subtitle == "64 texts of validation 56785678, 32 tokens each at most"
    assert table.notes == [f"— second half of mlm: {NO}"]
    assert [section.scored.likelihood for section in comparison.tables["likelihood"]] == [
        "exact",
        "bound",
        "pseudo",
    ], "no question is ranked"
    assert not any(
        "hidden" in metric for row in rows(comparison).values() for metric in row.estimates
    )


def test_the_table_is_absent_where_nobody_was_asked(study):
    comparison = compare(arm(study, "clm", CLOSE))
    assert comparison.tables["infilling"] == []
    assert "hidden tokens" not in [each.name for each in comparison.facts]
    for layout in ("md", "tex"):
        assert "The same question" not in FORMATS[layout](comparison)


def test_answers_are_in_the_frame(questioned):
    frame = collect(questioned)
    assert not frame.duplicated(["run", "metric", "scoring", "hidden"]).any()
    assert {*frame["form"].dropna()} == {"told"}
    assert {*frame["protocol"].dropna()} == {"in-order", "random-orders"}
    answers = frame[frame["metric"] == "bits_per_hidden_byte"]
    assert len(answers) == 9 * 4 - 3, "what is not answered has no row"
    own = answers[(answers["arm"] == "clm") & (answers["seed"] == 2)].set_index("hidden")
    assert own.loc["15%", "value"] == pytest.approx(2.02)
    assert own.loc["15%", ["given", "scoring", "likelihood", "unit", "n"]].tolist() == [
        *("left", "causal", "exact", "bits/byte", 211)
    ]
    anchors = frame[frame["metric"] == "unigram_bits_per_hidden_byte"]
    assert anchors["value"].tolist() == pytest.approx([2.5] * len(anchors))
    errors = answers.set_index(["arm", "hidden", "seed"])["standard_error"]
    assert errors.notna().all(), "of those that are not sampled too: over texts"
    assert errors["mlm"].max() < 1e-9, "here they are all alike"


def test_texts_that_differ_widen_an_answer(study):
    """Of one seed too, and of three with those that seeds differ by."""
    runs = arm(study, "clm", CLOSE)
    for run in runs:
        ask(run, 1.0, 2.0, 3.0, 4.0, unlike=61 * LN2 / 4)
    error = 0.25 / math.sqrt(63)  # in bits a byte, of 64 texts that are off by a quarter
    for some in (runs[:1], runs):
        [row] = compare(some).tables["infilling"][0].rows
        answer = row.answers["one"]
        assert answer is not None
        assert answer.bits_per_byte.half_width == pytest.approx(
            stats.t(63).ppf(0.975) * error, rel=0.01
        )
    frame = collect(runs)
    one = frame[(frame["metric"] == "bits_per_hidden_byte") & (frame["hidden"] == "one")]
    assert one["standard_error"].tolist() == pytest.approx([error] * 3)


def test_answers_without_their_texts_are_left_out_and_said(study):
    run = arm(study, "clm", [1.0])[0]
    ask(run, 1.0, 2.0, 3.0, 4.0)
    files = [*run.path.glob("eval/infilling-*.jsonl")]
    for file in files:
        file.unlink()
    comparison = compare([run])
    assert comparison.tables["infilling"] == []
    said = [note for note in comparison.notes if "jsonl is missing or damaged" in note]
    assert len(said) == len(files) == 4


def test_json_and_tex_hold_the_second_table(questioned):
    comparison = compare(questioned)
    [table] = json.loads(FORMATS["json"](comparison))["tables"]["infilling"]
    answers = {row["label"]: row["answers"] for row in table["rows"]}
    assert answers["mlm"]["second half"] is None
    assert answers["clm"]["15%"]["left_only"]
    assert not answers["clm"]["second half"]["left_only"]
    assert answers["mdlm"]["one"]["likelihood"] == "bound"
    assert answers["mlm"]["15%"]["bits_per_byte"]["mean"] == pytest.approx(1.51)
    assert table["anchor"]["one"] == pytest.approx([2.5, 2.5])
    text = FORMATS["tex"](comparison)
    assert text.isascii()
    assert r"mdlm & random-orders & $\leq$1.200 $\pm$0.000 &" in text
    assert r"arm & asked & one & 15\% & 50\% \\" in text
    assert r"arm & asked & second half \\" in text, "a table that is too wide is parted"
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_answers_about_other_texts_stand_apart(study):
    runs = arm(study, "clm", CLOSE) + arm(study, "mlm", FAR)
    for run in runs:
        ask(run, 1, 2, 3, 4, **({"text": "ffff" * 4} if run.record().arm == "mlm" else {}))
    comparison = compare(runs)
    assert [[row.label for row in table.rows] for table in comparison.tables["infilling"]] == [
        ["clm"],
        ["mlm"],
    ]
    assert str(fact(comparison, "hidden tokens")) == (
        "hidden tokens (validation 56785678: clm; validation ffffffff: mlm)"
    )
    assert not any("unlike hidden tokens" in note for note in comparison.notes)


def test_forms_are_tables_apart_and_protocols_rows_apart(study):
    runs = arm(study, "t5", CLOSE) + arm(study, "mlm", FAR, settings={"objective": "mlm"})
    for run in runs:
        if run.record().arm == "t5":
            ask(run, 2, 2, 2, 2, scoring="with-ends", form="untold")
            ask(run, 1, 1, 1, 1)
        else:
            ask(run, 3, 3, 3, 3, scoring="joint", protocol="at-once")
            ask(run, 4, 4, 4, 4)
            ask(run, *[None] * 4, form="untold", reason="it must be told")
    comparison = compare(runs)
    told, untold = comparison.tables["infilling"]
    assert [(row.label, row.protocol) for row in told.rows] == [
        ("mlm", "in-order"),
        ("t5", "in-order"),
        ("mlm", "at-once"),
    ]
    assert [row[2][1:6] for row in told.cells[:-1]] == ["4.000", "1.000", "3.000"]
    assert [row[2].strip()[:5] for row in untold.cells[:-1]] == ["—", "2.000"]
    assert "the length of each hole told" in told.title
    assert "their ends counted" in untold.title
    assert untold.notes[1].endswith("second half of mlm: it must be told")
    assert all(row.answers["50%"].new for row in told.rows), "15% were hidden in training"
    assert not any(row.answers["15%"].new for row in told.rows)
    text = FORMATS["md"](comparison)
    assert text.index(told.title) < text.index(untold.title)


def test_answers_to_a_question_of_unknown_form_are_left_out(study):
    """As earlier versions kept them."""
    run = write_run(study, "clm", 0)
    ask(run, 1, 2, 3, 4, form=None, protocol=None)
    note = f"and left out: `lmcompare eval --tasks infilling {run.path}`"
    comparison = compare([run])
    assert comparison.tables["infilling"] == []
    assert any(note in each for each in comparison.notes)
    ask(run, 1, 2, 3, 4)
    comparison = compare([run])
    assert len(comparison.tables["infilling"]) == 1
    assert not any(note in each for each in comparison.notes)


def test_arms_that_were_not_asked_are_named(study):
    runs = arm(study, "clm", [1.0, 1.1]) + arm(study, "mlm", [2.0, 2.1])
    ask(runs[0], 1, 2, 3, 4)
    for file in runs[0].path.glob("eval/infilling-*50*"):
        file.unlink()
    comparison = compare(runs)
    [table] = comparison.tables["infilling"]
    assert [row.label for row in table.rows] == ["clm"]
    assert table.notes == [
        "— 50% of clm: not asked",
        "one of clm: 1 of 2 seeds",
        "15% of clm: 1 of 2 seeds",
        "second half of clm: 1 of 2 seeds",
    ]
    paths = " ".join(str(run.path) for run in runs[1:])
    assert (
        f"not asked for hidden tokens: `lmcompare eval --tasks infilling {paths}`"
        in comparison.notes
    )


def test_answers_of_an_earlier_step_are_left_out(study):
    run = write_run(study, "clm", 0)
    ask(run, 1, 2, 3, 4, step=50)
    comparison = compare([run])
    assert comparison.tables["infilling"] == []
    [note] = [note for note in comparison.notes if "at step 50 of 100 and left out" in note]
    assert note.endswith(f"`lmcompare eval --tasks infilling {run.path}`")


def test_seeds_that_answered_in_unlike_ways_have_no_mean(study):
    runs = arm(study, "clm", [1.0, 1.1])
    ask(runs[0], 1, 2, 3, 4)
    ask(runs[1], 1, 2, 3, 4, scoring="renormalised", given="left")
    [table] = compare(runs).tables["infilling"]
    assert all(answer is None for answer in table.rows[0].answers.values())
    assert table.notes[0].startswith("— one, 15%, 50%, second half of clm: its seeds answered in")


def test_anchors_that_differ_are_a_range(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0])
    ask(runs[0], 1, 2, 3, 4)
    ask(runs[1], 1, 2, 3, 4, unigram_nats=3 * 61 * LN2)
    assert second(FORMATS["md"](compare(runs)))[-1][:3] == [
        *("unigram anchor", "", "2.500 to 3.000"),
    ]
