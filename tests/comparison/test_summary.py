"""The summary: each figure by hand, each dash with what fills it, and what is behind a row."""

import json
import shlex
from pathlib import Path

import pytest

from lmcompare.comparison import Comparison, compare, document
from lmcompare.comparison.summary import Cell, SummaryRow
from lmcompare.errors import UserError
from lmcompare.evaluation.speed.record import Pacing, SpeedRecord
from lmcompare.runs.run import Run
from tests.comparison.known_answers import ask, wrote
from tests.comparison.known_curves import learner
from tests.comparison.known_probes import probed
from tests.comparison.known_runs import LN2, causal, write_run
from tests.comparison.known_scores import ask as answer
from tests.comparison.known_scores import models, right


def aspect(comparison: Comparison, name: str) -> dict[str, SummaryRow]:
    return {
        row.heading: row
        for each, _, rows in comparison.summary.aspects
        for row in rows
        if each.name == name
    }


def cells(comparison: Comparison, name: str, heading: str) -> dict[str, Cell]:
    return {**aspect(comparison, name)[heading].cells}


def shown(comparison: Comparison, name: str, heading: str) -> dict[str, str]:
    return {label: cell.shown for label, cell in cells(comparison, name, heading).items()}


def timed(run: Run, speed: float | None, **changes: object) -> None:
    """Keep a speed of writing, or that it does not write."""
    own, last = run.record(), run.last_metrics()
    assert last is not None

    def pacing(value: float, **more: int) -> Pacing:
        return Pacing(median=value, low=value / 2, high=2 * value, num_rounds=5, **more)

    known = {
        "arm": own.arm,
        "seed": own.config.seed,
        "source": "validation",
        "text": "51ed" * 4,
        "step": last.step,
        "reading": pacing(701.0),
        "prompt_tokens": 16,
        "new_tokens": 48,
        "device": "Some CPU",
        "threads": 2,
        "precision": "float32",
    }
    writing = {
        "method": "left-to-right",
        "alone": None if speed is None else pacing(speed),
        "together": None if speed is None else pacing(20 * speed),
        "passes_per_token": 1.0,
    }
    known |= writing if speed is not None else {"reason": "it does not write"}
    run.results.write(SpeedRecord(**(known | changes)), [])


def test_what_stands_to_the_right_is_measured_from_the_view(study: Path) -> None:
    runs = [write_run(study, name, 0) for name in ("clm", "mlm", "prefix")]
    comparison = compare(runs)
    training = cells(comparison, "Attention", "in training")
    assert training["clm"].value == 0
    assert training["mlm"].value == 0.5
    assert 0.1 < (training["prefix"].value or 0) < 0.5, "in the prefix alone"
    assert shown(comparison, "Attention", "reading a text") == {
        "clm": "0%",
        "mlm": "50%",
        "prefix": "50%",
    }


def test_the_signal_of_training_is_what_was_spent(study: Path) -> None:
    """A step is 2,032 tokens and a tenth of a second; `mlm` predicts 15% of them."""
    runs = [write_run(study, "clm", seed) for seed in range(3)] + [write_run(study, "mlm", 0)]
    comparison = compare(runs)
    assert shown(comparison, "Training signal", "tokens predicted") == {
        "clm": "100.0%",
        "mlm": "15.0%",
    }
    rates = cells(comparison, "Training signal", "targets/second")
    assert rates["clm"].value == pytest.approx(20_320)
    assert rates["mlm"].value == pytest.approx(3_048)
    # 10^10 operations a step on a machine that multiplies 10^11 a second
    assert shown(comparison, "Compute efficiency", "use of the machine")["clm"] == "100.0%"


def test_time_that_other_work_took_is_left_out(study: Path) -> None:
    run = write_run(study, "clm", 0, undisturbed=5.0)
    rates = cells(compare([run]), "Training signal", "targets/second")
    assert rates["clm"].value == pytest.approx(203_200 / 5)


def test_what_is_learned_is_told_where_all_have_spent_as_much(study: Path) -> None:
    """By a straight line over the logarithm; nothing is said beyond what all have reached."""
    runs = learner(study, "clm", {10: 6.0, 100: 4.0, 1000: 2.0})
    runs += learner(study, "mlm", {10: 7.0, 100: 5.0}, {10: 7.0, 100: 5.5})
    comparison = compare(runs)
    rows = aspect(comparison, "Learns")
    assert [*rows] == ["at 200k tokens", "at 30k targets", "at 100G FLOPs", "at 50 seconds"]
    found = rows["at 200k tokens"].cells
    assert found["clm"].value == pytest.approx(4.0)
    assert found["mlm"].value == pytest.approx(5.25)
    assert "before the token alone" in found["clm"].why
    assert not found["mlm"].why
    (only,) = aspect(compare(runs, at="flops"), "Learns")
    assert only == "at 100G FLOPs"


def test_between_two_points_a_curve_is_straight_over_the_logarithm(study: Path) -> None:
    runs = learner(study, "clm", {1: 6.0, 100: 4.0})
    runs += learner(study, "mlm", {1: 7.0, 10: 5.0})
    found = cells(compare(runs), "Learns", "at 20k tokens")
    assert found["clm"].value == pytest.approx(5.0), "halfway of 1 and 100 is 10"
    assert found["mlm"].value == pytest.approx(5.0)


def test_what_a_quality_takes_is_read_off_the_curves(study: Path) -> None:
    runs = learner(study, "clm", {1: 6.0, 100: 4.0})
    runs += learner(study, "mlm", {1: 7.0, 100: 5.0})
    comparison = compare(runs)
    words = {each.name: about for each, about, _ in comparison.summary.aspects}
    assert "5.000 nats, the worst end of these runs" in words["Data efficiency"]
    found = cells(comparison, "Data efficiency", "tokens")
    assert found["clm"].value == pytest.approx(20_000)
    assert found["mlm"].value == pytest.approx(200_000)
    assert shown(comparison, "Compute efficiency", "seconds") == {"clm": "5", "mlm": "50"}
    assert shown(comparison, "Data efficiency", "targets") == {"clm": "3k", "mlm": "30k"}


def test_a_quality_that_is_not_reached_is_a_limit(study: Path) -> None:
    runs = learner(study, "clm", {1: 6.0, 100: 4.0})
    runs += learner(study, "mlm", {1: 7.0, 100: 5.0}, {1: 7.0, 100: 4.0})
    runs += learner(study, "mdlm", {1: 7.0, 100: 6.0})
    found = shown(compare(runs, quality=4.5), "Data efficiency", "tokens")
    assert found["mdlm"] == ">=200k, not reached"
    assert found["mlm"].endswith("1 of 2 not reached")
    assert found["mlm"].startswith(">=")
    first = shown(compare(runs, quality=6.5), "Data efficiency", "tokens")
    assert first["clm"] == "≤2k", "its first answer was better already"
    with pytest.raises(UserError, match="no quality to reach"):
        compare(runs, quality=0)


def test_a_run_from_before_the_question_was_logged_is_told_how_to_ask_one(study: Path) -> None:
    runs = [write_run(study, name, 0) for name in ("clm", "mlm")]
    (row,) = aspect(compare(runs), "Learns").values()
    command = f"`lmcompare eval --tasks infilling {study}`"
    assert {cell.why for cell in row.cells.values()} == {
        f"trained before the common question was logged: {command} asks a like one"
    }
    for run in runs:
        ask(run, 1.0, 2.0, 3.0, 4.0)
    found = cells(compare(runs), "Learns", "infilling, one")
    assert found["clm"].value == pytest.approx(LN2 * 61 / 15), "a bit a byte, 61 bytes, 15 tokens"


def test_answers_about_unlike_texts_do_not_compare(study: Path) -> None:
    runs = learner(study, "clm", {1: 6.0, 100: 4.0}, {1: 6.0, 100: 4.2})
    runs += learner(study, "mlm", {1: 7.0, 100: 5.0}, sheet={"text": "0e11" * 4})
    found = cells(compare(runs), "Learns", "at 200k tokens")
    assert found["clm"].value == pytest.approx(4.1)
    assert found["mlm"].is_empty
    assert "does not compare" in found["mlm"].why


def test_what_is_written_stands_beside_the_text_itself(study: Path) -> None:
    runs = causal(study, a=[1.0, 1.0, 1.0], b=[1.0])
    for run, bits in zip(runs, (1.5, 1.75, 2.0), strict=False):
        wrote(run, bits, 0.25)
    comparison = compare(runs)
    rows = aspect(comparison, "Generation")
    judged = rows["judge's bits/byte (the text itself 2.125)"].cells
    assert judged["a"].value == 1.75
    assert judged["a"].shown.startswith("1.750 ±0.6")
    assert judged["b"].why.startswith("not measured: `lmcompare eval --tasks generation ")
    assert rows["distinct-2 (the text itself 0.875)"].cells["a"].shown == "0.250"
    assert rows["passes/token"].cells["a"].shown == "0.500"


def test_without_a_judge_its_row_says_so(study: Path) -> None:
    for run in (runs := causal(study, a=[1.0])):
        wrote(run, None)
    (found,) = cells(compare(runs), "Generation", "judge's bits/byte").values()
    assert found.why == (
        f"no judge: `lmcompare eval --tasks generation --judge RUN {runs[0].path}`"
    )


def test_speeds_are_medians_of_rounds(study: Path) -> None:
    runs = causal(study, a=[1.0, 1.0], b=[1.0], c=[1.0])
    timed(runs[0], 100.0)
    timed(runs[1], 300.0)
    timed(runs[2], None)
    comparison = compare(runs)
    assert cells(comparison, "Inference", "tokens/s, one text")["a"].value == 200
    assert cells(comparison, "Inference", "tokens/s, 32 texts")["a"].value == 4000
    assert shown(comparison, "Inference", "texts/s read") == {"a": "701", "b": "701", "c": ""}
    words = cells(comparison, "Inference", "tokens are written")
    assert (words["a"].shown, words["b"].why) == ("sequential", "it does not write")
    assert words["c"].why.startswith("not measured: `lmcompare eval --tasks speed ")


def test_what_writes_several_tokens_a_pass_is_parallel(study: Path) -> None:
    runs = causal(study, a=[1.0], b=[1.0])
    timed(runs[0], 100.0, passes_per_token=0.25, threads=1)
    timed(runs[1], 100.0, alone=Pacing(median=1, low=1, high=1, num_rounds=5, num_disturbed=3))
    comparison = compare(runs)
    assert shown(comparison, "Inference", "tokens are written")["a"] == "parallel"
    one = cells(comparison, "Inference", "tokens/s, one text")
    assert one["a"].why.startswith("timed on Some CPU, 1 threads: ")
    assert "other work on the machine" in one["b"].why


def test_benchmarks_and_probes_are_those_of_their_tables(study: Path) -> None:
    runs = models(study, "a", right(30), right(31), right(32)) + causal(study, b=[1.0])
    comparison = compare(runs)
    row = comparison.tables["benchmark"][0].blocks[0].rows[0]
    (heading,) = aspect(comparison, "Understanding")
    assert heading == "zorro, accuracy, % (chance 50.0)"
    found = cells(comparison, "Understanding", heading)
    assert (found["a"].value, found["a"].low) == (row.value.value, row.value.low)
    assert found["b"].why.startswith("not asked: `lmcompare eval --tasks zorro --task-data FOLDER ")
    comparison = compare(probed(study, "c", 0.9, 0.8, 0.85))
    (found,) = aspect(comparison, "Linguistic knowledge").values()
    assert found.cells["c"].value == comparison.tables["probes"][0].blocks[0].rows[0].value.value


def test_best_suited_is_said_of_verdicts_alone(study: Path) -> None:
    """One of three seeds wins over the reference, another does as well."""
    low, high = right(12), right(38)
    runs = models(study, "a", low, right(13), low) + models(study, "b", high, right(39), high)
    runs += models(study, "c", low, right(13), low)
    comparison = compare(runs)
    assert shown(comparison, "Best suited for", "Best suited for") == {
        "a": "loses at zorro to b",
        "b": "wins at zorro over a",
        "c": "no difference shown",
    }


def test_one_seed_carries_no_verdict(study: Path) -> None:
    runs = models(study, "a", right(12)) + models(study, "b", right(38))
    assert compare(runs).tables["benchmark"][0].blocks[0].rows[1].verdict == "wins"
    found = cells(compare(runs), "Best suited for", "Best suited for")
    assert {cell.shown for cell in found.values()} == {""}
    assert {cell.why for cell in found.values()} == {
        "one seed carries no verdict on an objective: train 3 or more"
    }


def test_what_a_check_speaks_against_is_no_strength(study: Path) -> None:
    """The untrained models are above chance, so the benchmark gives its answers away."""
    low, high = right(12), right(38)
    runs = models(study, "a", low, right(13), low, untrained=right(36))
    runs += models(study, "b", high, right(39), high, untrained=right(36))
    comparison = compare(runs)
    assert comparison.tables["benchmark"][0].blocks[0].rows[1].verdict == "wins"
    found = shown(comparison, "Best suited for", "Best suited for")
    assert {*found.values()} == {"no difference shown"}


def test_unfinished_runs_stand_as_they_are(study: Path) -> None:
    runs = [write_run(study, "clm", 0), write_run(study, "mlm", 0, finished=False)]
    comparison = compare(runs, unfinished=True)
    found = shown(comparison, "Training signal", "tokens predicted")
    assert found == {"clm": "100.0%", "mlm [unfinished]": "15.0%"}


def test_json_holds_the_summary_first(study: Path) -> None:
    from lmcompare.comparison import FORMATS

    runs = learner(study, "clm", {1: 6.0, 100: 4.0}) + learner(study, "mlm", {1: 7.0, 100: 5.0})
    comparison = compare(runs)
    found = json.loads(FORMATS["json"](comparison))
    assert [*found][:2] == ["schema_version", "summary"]
    (row,) = [each for each in found["summary"] if each["row"] == "at 200k tokens"]
    assert (row["aspect"], row["unit"]) == ("Learns", "nats/token")
    assert row["arms"]["mlm"] == {
        "shown": "5.000",
        "value": 5.0,
        "low": None,
        "high": None,
        "why": None,
    }


def test_files_behind_a_row_are_there(study: Path) -> None:
    runs = causal(study, a=[1.0, 1.0])
    for run in runs:
        answer(run, right(30))
        wrote(run, 1.5)
        timed(run, 100.0)
    summary = compare(runs).summary
    for each, _, _ in summary.aspects:
        for behind in summary.behind(each.name):
            assert behind.file.is_file()
            assert behind.items is None or behind.items.is_file()
    found = summary.behind("understanding")
    assert [(each.arm, each.seed, each.num_items) for each in found] == [("a", 0, 41), ("a", 1, 41)]
    assert {each.file.parent.parent for each in found} == {run.path for run in runs}
    with pytest.raises(UserError, match="no row 'understandng': did you mean 'understanding'"):
        summary.behind("understandng")
    with pytest.raises(UserError, match="has no row ''"):
        summary.behind("")


def test_the_commands_that_fill_cells_name_the_runs_that_lack_them(study: Path) -> None:
    hostile = study.parent / "a study; rm -rf 'x'"
    runs = [write_run(hostile, "clm", seed) for seed in range(2)]
    (row,) = aspect(compare(runs), "Inference").values()
    command = row.cells["clm"].why.partition("`")[2].rstrip("`")
    assert shlex.split(command) == ["lmcompare", "eval", "--tasks", "speed", str(hostile)]
    timed(runs[0], 100.0)
    (other,) = [write_run(hostile, "mlm", 0)]
    found = cells(compare([*runs, other]), "Inference", "texts/s read")["mlm"].why
    assert shlex.split(found.partition("`")[2].rstrip("`"))[-2:] == [
        str(runs[1].path),
        str(other.path),
    ]


def test_the_page_begins_with_what_was_held_equal(study: Path) -> None:
    comparison = compare(learner(study, "clm", {1: 6.0}) + learner(study, "mlm", {1: 6.0}))
    first, *_ = document(comparison, ["summary"])
    assert first == comparison.preface[0]
    everything = document(comparison)
    assert everything[: len(comparison.preface)] == comparison.preface
    assert all(block in everything for block in comparison.summary.blocks())
