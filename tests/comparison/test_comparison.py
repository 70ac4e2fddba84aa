"""Which runs are compared as which arms, what their means are, and what is missing."""

from pathlib import Path

import pytest
from scipy import stats

from lmcompare.comparison import FORMATS, PAGES, collect, compare
from lmcompare.comparison.tables.likelihood import cells
from lmcompare.errors import UserError
from lmcompare.runs.finding import find_runs
from tests.comparison.known_runs import (
    CLOSE,
    FAR,
    NUM_BYTES,
    NUM_TOKENS,
    arm,
    causal,
    evaluate,
    marks,
    rows,
    write_run,
)


def test_the_frame_is_tidy_and_holds_the_known_values(study):
    frame = collect(arm(study, "clm", [1.25, 1.5]))
    assert not frame.duplicated(["run", "metric"]).any()
    values = frame.pivot(index="seed", columns="metric", values="value")
    assert values["bits_per_byte"].tolist() == pytest.approx([1.25, 1.5])
    assert values["bits_per_token"][0] == pytest.approx(1.25 * NUM_BYTES / NUM_TOKENS)
    assert values["unigram_bits_per_byte"].tolist() == pytest.approx([2.5, 2.5])
    assert values["validation_loss"].tolist() == [3.25, 3.375]
    assert values.loc[0, ["steps", "tokens", "targets", "flops"]].tolist() == [
        100,
        203_200,
        203_200,
        10**12,
    ]
    assert values["tokens_per_second"][0] == pytest.approx(20_320)
    first = frame[frame["metric"] == "bits_per_byte"].iloc[0]
    assert (first["n"], first["unit"], first["likelihood"]) == (NUM_BYTES, "bits/byte", "exact")


def test_an_arm_has_the_mean_and_t_interval_of_its_seeds(study):
    bits = [1.25, 1.5, 1.3, 1.45]
    estimate = rows(compare(arm(study, "clm", bits)))["clm"].estimates["bits_per_byte"]
    low, high = stats.t.interval(0.95, 3, loc=sum(bits) / 4, scale=stats.sem(bits))
    assert estimate.num == 4
    assert estimate.mean == pytest.approx(1.375)
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_one_seed_has_no_interval_and_is_not_ranked(study):
    runs = arm(study, "clm", [1.0]) + arm(study, "mlm", [2.0], settings={"objective": "clm"})
    comparison = compare(runs)
    assert rows(comparison)["clm"].estimates["bits_per_byte"].low is None
    assert marks(comparison) == {"clm": None, "mlm": None}
    assert any(note.startswith("one seed, so no interval") for note in comparison.notes)
    assert "1.000 ±—" in FORMATS["md"](comparison)


def test_two_seeds_are_called_few(study):
    assert any("fewer than 3 seeds" in note for note in compare(arm(study, "clm", [1, 2])).notes)
    assert not any("fewer than" in note for note in compare(arm(study, "mlm", [1, 2, 3])).notes)


# which runs are an arm


def test_one_name_with_two_configurations_is_two_rows(study):
    runs = arm(study, "clm", CLOSE)
    runs += arm(study, "clm", FAR, settings={"optimizer": {"learning_rate": 1e-4}})
    comparison = compare(runs)
    assert set(rows(comparison)) == {"clm [learning_rate 0.003]", "clm [learning_rate 0.0001]"}
    assert all(row.estimates["bits_per_byte"].num == 3 for row in rows(comparison).values())
    assert any("kept apart" in note for note in comparison.notes)


def test_one_name_on_two_texts_is_two_rows(study):
    runs = arm(study, "clm", CLOSE) + arm(study, "clm", FAR, sheet={"text": "0000" * 4})
    assert len(rows(compare(runs))) == 2


def test_the_later_run_of_a_seed_counts(study):
    [old] = arm(study, "clm", [1.0])
    [new] = arm(study, "clm", [2.0], record={"created": "2026-02-01T00:00:00+00:00"})
    comparison = compare([new, old])
    assert rows(comparison)["clm"].estimates["bits_per_byte"].mean == pytest.approx(2.0)
    assert any(str(old.path) in note and "later run" in note for note in comparison.notes)


def test_arms_of_two_studies_are_kept_apart(study, tmp_path):
    comparison = compare(arm(study, "clm", CLOSE) + arm(tmp_path / "second", "clm", FAR))
    assert set(rows(comparison)) == {"first/clm", "second/clm"}


def test_hyper_parameters_off_their_defaults_are_shown(study):
    [row] = rows(
        compare(arm(study, "mlm", [1.0], settings={"objective": {"name": "mlm", "rate": 0.4}}))
    ).values()
    assert row.objective == "mlm (rate 0.4)"


# what is missing


def test_a_run_without_evaluation_has_dashes_and_a_note(study):
    runs = [*arm(study, "clm", CLOSE), write_run(study, "mlm", 0)]
    comparison = compare(runs)
    assert [each.scored is None for each in comparison.tables["likelihood"]] == [False, True]
    assert f"not evaluated: `lmcompare eval --tasks likelihood {runs[-1].path}`" in comparison.notes
    text = PAGES["md"](comparison, ["likelihood"])
    [line] = [line for line in text.splitlines() if line.startswith("| mlm")]
    assert [cell.strip() for cell in line.split("|")][2:5] == ["—", "", "—"]


def test_seeds_without_evaluation_are_counted_out(study):
    runs = [*arm(study, "clm", [1.0, 1.2]), write_run(study, "clm", 2)]
    row = rows(compare(runs))["clm"]
    assert (row.seeds, row.num_runs) == ([0, 1], 3)
    assert row.estimates["validation_loss"].num == 2


def test_an_evaluation_of_an_earlier_step_is_left_out(study):
    run = write_run(study, "clm", 0)
    evaluate(run, 1.0, step=50)
    comparison = compare([run])
    assert comparison.tables["likelihood"][0].scored is None
    assert any("evaluated at step 50 of 100 and left out" in note for note in comparison.notes)


def test_unfinished_runs_are_left_out_and_named(study):
    runs = [*arm(study, "clm", CLOSE), write_run(study, "mlm", 0, finished=False, steps=17)]
    comparison = compare(runs)
    assert set(rows(comparison)) == {"clm"}
    assert comparison.notes[0] == f"left out because not finished: {runs[-1].path} (at step 17)"


def test_unfinished_runs_are_marked_and_not_ranked_nor_averaged(study):
    runs = causal(study, a=CLOSE, b=FAR)
    runs.append(write_run(study, "a", 3, settings={"objective": "clm"}, finished=False, steps=17))
    evaluate(runs[-1], 0.5)
    comparison = compare(runs, unfinished=True)
    [section] = comparison.tables["likelihood"]
    assert [row.finished for row in section.rows] == [True, True, False]
    assert [row.mark for row in section.rows] == ["best", None, None]
    assert section.rows[0].estimates["bits_per_byte"].num == 3
    assert section.rows[2].label == "a [unfinished]"
    assert "unfinished" in FORMATS["md"](comparison)


def test_only_unfinished_runs_are_an_error(study):
    run = write_run(study, "clm", 0, finished=False, steps=17)
    with pytest.raises(
        UserError, match=r"no run is finished: .* \(at step 17\) is not; .*`unfinished=True`"
    ):
        compare([run])


def test_a_run_that_has_not_begun_is_left_out(study):
    run = write_run(study, "clm", 0, finished=False)
    run.metrics_file.unlink()
    with pytest.raises(UserError, match="no step yet"):
        compare([run], unfinished=True)


def test_the_time_of_a_disturbed_run_has_that_without_the_others_beside_it(tmp_path: Path) -> None:
    write_run(tmp_path, "clm", 0, undisturbed=3.1)
    write_run(tmp_path, "mlm", 0)
    comparison = compare(find_runs([tmp_path]))
    times = [cells(row)[10] for section in comparison.tables["likelihood"] for row in section.rows]
    assert sorted(times) == ["10", "10 (3.1 alone)"]
    (note,) = [each for each in comparison.notes if each.startswith("secs: ")]
    assert "clm-s0" in note
    assert "mlm-s0" not in note
