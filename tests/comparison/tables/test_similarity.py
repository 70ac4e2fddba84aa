"""Pairs of arms of made-up similarity, and made-up floors: what is claimed of them, and how."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from lmcompare.comparison import Comparison, compare
from lmcompare.comparison.formats import to_json, to_markdown, to_tex
from lmcompare.comparison.tables.similarity import gap
from lmcompare.evaluation.similarity.record import Grids, SimilarityItem, SimilarityRecord
from lmcompare.runs.run import Run
from tests.comparison.known_runs import write_run

GROUPS = 5


def found(values: Mapping[tuple[int, int], float], spread: float = 0.001) -> dict:
    """Similarities of pairs of seeds, and the same without each of five groups of words."""
    noise = spread * np.array([0, -2, -1, 0, 1, 2])
    return {seeds: value + noise for seeds, value in values.items()}


WITHIN = {(0, 1): 0.90, (0, 2): 0.91, (1, 2): 0.92}


def across(value: float, same: float = 0.99) -> dict[tuple[int, int], float]:
    return {
        (one, two): same if one == two else value + 0.002 * (one - two)
        for one in range(3)
        for two in range(3)
    }


def test_arms_differ_where_they_are_less_alike_than_seeds_by_more_than_the_interval() -> None:
    made = gap(found(across(0.5)), found(WITHIN), found(WITHIN))
    assert made.between == pytest.approx(0.5)
    assert made.floors == pytest.approx((0.91, 0.91))
    assert made.below.value == pytest.approx(0.41)
    assert made.differs


def test_arms_that_are_as_alike_as_seeds_do_not_differ() -> None:
    made = gap(found(across(0.905)), found(WITHIN), found(WITHIN))
    assert made.below.low < 0 < made.below.high
    assert made.differs is False


def test_it_is_the_lower_floor_that_counts() -> None:
    loose = {seeds: value - 0.5 for seeds, value in WITHIN.items()}
    made = gap(found(across(0.5)), found(WITHIN), found(loose))
    assert made.floors == pytest.approx((0.91, 0.41))
    assert made.below.value == pytest.approx(-0.09)
    assert not made.differs


def test_runs_of_one_seed_share_their_start_and_do_not_count() -> None:
    high, low = (gap(found(across(0.5, same)), found(WITHIN), found(WITHIN)) for same in (1.0, 0.0))
    assert high == low


def test_seeds_that_differ_much_and_words_that_do_widen_the_interval() -> None:
    plain = gap(found(across(0.5)), found(WITHIN), found(WITHIN))
    wild = {(0, 1): 0.99, (0, 2): 0.60, (1, 2): 0.80}
    of_seeds = gap(found(across(0.5)), found(wild), found(wild))
    assert of_seeds.below.high - of_seeds.below.low > plain.below.high - plain.below.low
    assert not of_seeds.differs
    apart = {
        seeds: values + np.array([0, -0.2, -0.1, 0, 0.1, 0.2])
        for seeds, values in found(WITHIN).items()
    }
    of_words = gap(found(across(0.5), 0.0), apart, apart)
    assert not of_words.differs


def test_what_moves_all_pairs_of_runs_alike_moves_no_difference() -> None:
    calm = gap(found(across(0.5), 0.0), found(WITHIN, 0.0), found(WITHIN, 0.0))
    shaken = gap(found(across(0.5), 0.3), found(WITHIN, 0.3), found(WITHIN, 0.3))
    assert shaken.below.low == pytest.approx(calm.below.low)


def test_the_interval_of_alike_arms_holds_nothing_about_as_often_as_it_says() -> None:
    # all similarities are 0.8 plus an effect of each run, drawn anew: no arm differs from another
    claims = 0
    for number in range(400):
        draw = np.random.default_rng(number)
        one, two = draw.normal(0, 0.03, 4), draw.normal(0, 0.03, 4)
        pairs = [(left, right) for left in range(4) for right in range(left + 1, 4)]
        within = [
            found({(a, b): 0.8 + own[a] + own[b] for a, b in pairs}, 0.0) for own in (one, two)
        ]
        between = found({(a, b): 0.8 + one[a] + two[b] for a in range(4) for b in range(4)}, 0.0)
        claims += bool(gap(between, *within).differs)
    assert claims <= 0.025 * 400 + 8


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_too_few_seeds_give_no_verdict(num_seeds: int) -> None:
    within = {seeds: value for seeds, value in WITHIN.items() if max(seeds) < num_seeds}
    between = {seeds: value for seeds, value in across(0.1).items() if max(seeds) < num_seeds}
    made = gap(found(between), found(within), found(within))
    assert made.differs is None
    assert made.floors == ((None, None) if num_seeds == 1 else pytest.approx((0.9, 0.9)))


# ---------------------------------------------------------------- records of runs


def keep(one: Run, other: Run, values: np.ndarray, *, step: int = 100, **changes: object) -> None:
    """Keep a made-up CKA of two runs, layers by layers."""
    if (one.path.name, one.hash) > (other.path.name, other.hash):
        one, other, values = other, one, values.T
    ours, theirs = one.record(), other.record()

    def grid(each: np.ndarray) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(row) for row in each.tolist())

    grids = Grids(
        value=grid(values),
        error=grid(np.full(values.shape, 0.01)),
        null_mean=grid(np.zeros(values.shape)),
        null_high=grid(np.full(values.shape, 0.017)),
    )
    given = {
        **{"arm": ours.arm, "seed": ours.config.seed, "source": "validation", "text": "ab" * 8},
        **{"step": step, "other": other.path.name, "other_hash": other.hash},
        **{"other_arm": theirs.arm, "other_seed": theirs.config.seed, "other_step": step},
        **{"words": "mean", "layers": (0, 1), "other_layers": (0, 1), "num_words": 1013},
        **{"num_groups": GROUPS, "num_sampled": 997, "same_tokenizer": True, "version": 1},
        "grids": {"cka": grids},
    }
    record = SimilarityRecord(**(given | changes))
    noise = 0.001 * np.array([-2, -1, 0, 1, 2])
    items = [
        SimilarityItem(
            layer=row,
            other_layer=column,
            without={"cka": tuple((values[row, column] + noise).tolist())},
        )
        for row in range(2)
        for column in range(2)
    ]
    one.results.write(record, items)


def study(folder: Path, *, between: float = 0.5, arms: Sequence[str] = ("clm", "mlm")) -> list[Run]:
    """Three seeds of some arms, which differ in layer 1 and not in layer 0."""
    runs = [write_run(folder, arm, seed) for arm in arms for seed in range(3)]
    for number, one in enumerate(runs):
        for other in runs[number + 1 :]:
            is_within = one.record().arm == other.record().arm
            shift = 0.003 * (one.record().config.seed + other.record().config.seed)
            last = (0.9 if is_within else between) + shift
            values = np.array([[0.95 + shift, 0.3], [0.2, last]])
            keep(one, other, values)
    return runs


def said(comparison: Comparison) -> str:
    return " ".join(to_markdown(comparison).split())


def test_the_table_says_where_arms_differ(tmp_path: Path) -> None:
    comparison = compare(study(tmp_path))
    ((pair,),) = [table.pairs for table in comparison.tables["similarity"]]
    assert (pair.one, pair.other, pair.num_pairs) == ("clm", "mlm", 6)
    gaps = pair.grids["cka"].gaps
    assert [gaps[layer].differs for layer in (0, 1)] == [False, True]
    assert gaps[1].between == pytest.approx(0.506)
    assert min(gaps[1].floors) == pytest.approx(0.906)
    assert pair.best("cka", 1) == (1, pytest.approx(0.506))
    assert pair.grids["cka"].between[0][1] == pytest.approx(0.3)
    assert pair.grids["cka"].between[1][0] == pytest.approx(0.2)
    assert pair.grids["cka"].floors[0][0][1] == pytest.approx(0.25), "either order of seeds"


def test_of_three_arms_or_more_all_pairs_stand_in_one_table(tmp_path: Path) -> None:
    page = said(compare(study(tmp_path, arms=("clm", "mlm", "plm"))))
    assert "| arm | clm | mlm | plm |" in page
    assert "| clm | (0.91) | | | | mlm | 0.51\\* | (0.91) | |" in page
    assert "CKA of all arms" not in said(compare(study(tmp_path / "two")))


def test_every_format_has_it(tmp_path: Path) -> None:
    comparison = compare(study(tmp_path))
    document = json.loads(to_json(comparison))
    (pair,) = document["tables"]["similarity"][0]["pairs"]
    assert pair["grids"]["cka"]["gaps"]["1"]["differs"] is True
    assert pair["grids"]["cka"]["between"][0][1] == pytest.approx(0.3)
    for written in (to_markdown(comparison), to_tex(comparison)):
        assert "0.506" in written
    frame = comparison.frame
    own = frame[frame["metric"] == "cka_similarity"]
    assert len(own) == 15 * 4
    assert {*own["other_layer"]} == {0, 1}
    assert own["null"].eq(0.017).all()
    below = frame[frame["metric"] == "cka_similarity below floor"]
    assert not below[["study", "arm", "label", "finished", "objective"]].isna().any(axis=None)
    assert below["value"].tolist() == pytest.approx([0.0, 0.4], abs=1e-6)
    assert below["reference"].tolist() == ["mlm", "mlm"]


def test_a_run_that_was_trained_anew_leaves_its_results_out_and_that_is_said(
    tmp_path: Path,
) -> None:
    runs = study(tmp_path)
    last = runs[-1]
    text = last.record().model_copy(update={"created": "2026-02-02T00:00:00+00:00"})
    for file in last.results.folder.glob("*"):
        file.unlink()
    text.write(last.record_file)
    comparison = compare(runs)
    ((pair,),) = [table.pairs for table in comparison.tables["similarity"]]
    assert pair.num_pairs == 4
    assert any("trained anew, and left out: `lmcompare similarity" in n for n in comparison.notes)
    assert pair.grids["cka"].gaps[1].differs is None


def test_pairs_that_lack_a_result_are_counted_with_the_command(tmp_path: Path) -> None:
    runs = study(tmp_path)
    (found_,) = runs[0].results.folder.glob(f"*{runs[-1].path.name}*.json")
    found_.unlink()
    found_.with_suffix(".jsonl").unlink()
    notes = compare(runs).notes
    assert f"1 pair of runs not compared: `lmcompare similarity {tmp_path}`" in notes


def test_one_seed_of_each_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    runs = [run for run in study(tmp_path) if run.record().config.seed == 0]
    comparison = compare(runs)
    ((pair,),) = [table.pairs for table in comparison.tables["similarity"]]
    assert pair.is_of_one_start
    assert pair.grids["cka"].gaps[1].between == pytest.approx(0.5)
    assert "of runs of one seed, which share their start" in said(comparison)


def test_no_row_is_wider_than_a_terminal(tmp_path: Path) -> None:
    page = to_markdown(compare(study(tmp_path)), ["similarity"]).splitlines()
    first = next(number for number, line in enumerate(page) if line.startswith("| layer"))
    rows = page[first : first + 4]
    assert "0.506" in rows[-1]
    assert max(map(len, rows)) <= 80
