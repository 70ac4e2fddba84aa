"""Attention in a comparison: means over heads, texts and seeds, and heads that follow relations."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from lmcompare.comparison import FORMATS, compare, write_tables
from lmcompare.comparison.figures.attention_heads import draw_heads
from lmcompare.comparison.tables.attention import (
    HeadsTable,
    RelationRow,
    RelationsTable,
    percent,
    with_half,
)
from lmcompare.evaluation.attention.heads import MEASURES
from lmcompare.evaluation.attention.record import (
    AttentionRecord,
    Direction,
    HeadsItem,
    RelationItem,
    RelationResult,
)
from lmcompare.runs.run import Run
from lmcompare.stats.paired_bootstrap import Scores
from lmcompare.stats.significance import estimate
from tests.comparison.known_runs import write_run

LAYERS, HEADS, TEXTS, SENTENCES = 2, 3, 7, 41


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


def values_of(run: Run, step: int, shift: float) -> np.ndarray:
    """Return made-up values by text, measure, layer and head."""
    seed = run.record().config.seed
    stream = np.random.default_rng([seed, step])
    values = stream.random((TEXTS, len(MEASURES), LAYERS, HEADS)) / 8 + shift
    values[:, MEASURES.index("distance")] *= 17
    return values


def grid(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, values.tolist()))


def attend(run: Run, shift: float, *, step: int = 100, sees_right: bool = True) -> np.ndarray:
    """Keep what the heads of a run are like."""
    values, config = values_of(run, step, shift), run.record()
    if not sees_right:
        values[:, MEASURES.index("right")] = 0
    record = AttentionRecord(
        task="heads",
        arm=config.arm,
        seed=config.config.seed,
        source="validation",
        text="feed" * 8,
        step=step,
        version=1,
        sees_right=sees_right,
        layers=tuple(range(1, LAYERS + 1)),
        num_heads=HEADS,
        num_items=TEXTS,
        num_tokens=211,
        means={name: grid(values[:, n].mean(0)) for n, name in enumerate(MEASURES)},
        errors={
            name: grid(values[:, n].std(0, ddof=1) / TEXTS**0.5) for n, name in enumerate(MEASURES)
        },
    )
    items = (
        HeadsItem(
            text=number,
            num_tokens=31,
            values={name: grid(own[n]) for n, name in enumerate(MEASURES)},
        )
        for number, own in enumerate(values)
    )
    run.results.write(record, items)
    return values


def follow(run: Run, *results: tuple[str, Direction, float, float, float], step: int = 100) -> None:
    """Keep how a run's head follows relations: the choice, and hits and the offset's in the test.

    Each test sentence has one word that is asked about; the first ones are hits.
    """
    config = run.record()
    found, hits, offsets = [], {}, {}
    for relation, direction, choice, value, offset in results:
        found.append(
            RelationResult(
                relation=relation,
                direction=direction,
                num_choice=97,
                num_cases=SENTENCES,
                num_out_of_sight=0,
                layer=2,
                head=1 + config.config.seed % HEADS,
                choice=choice,
                value=round(value * SENTENCES) / SENTENCES,
                offset=1,
                offset_choice=0.5,
                offset_value=round(offset * SENTENCES) / SENTENCES,
                choices=grid(np.full((LAYERS, HEADS), choice)),
                values=grid(np.full((LAYERS, HEADS), value)),
            )
        )
        hits[found[-1].key] = round(value * SENTENCES)
        offsets[found[-1].key] = round(offset * SENTENCES)
    record = AttentionRecord(
        task="relations",
        arm=config.arm,
        seed=config.config.seed,
        source="en_toy-ud",
        text="beef" * 8,
        step=step,
        version=1,
        sees_right=config.arm != "clm",
        layers=tuple(range(1, LAYERS + 1)),
        num_heads=HEADS,
        num_items=SENTENCES,
        min_arcs=30,
        split="by hand",
        relations=tuple(found),
        too_few={"amod": 5},
    )
    items = (
        RelationItem(
            sentence=number,
            cases=dict.fromkeys(hits, 1),
            hits={key: int(number < num) for key, num in hits.items()},
            offset_hits={key: int(number < num) for key, num in offsets.items()},
        )
        for number in range(SENTENCES)
    )
    run.results.write(record, items)


def runs_of(study: Path) -> list[Run]:
    return [write_run(study, arm, seed) for arm in ("clm", "mlm") for seed in (0, 1, 2)]


def arm_of(run: Run) -> str:
    return run.record().arm


def test_a_layer_is_the_mean_over_heads_texts_and_seeds(study: Path) -> None:
    runs = runs_of(study)
    values = {run: attend(run, 0.25, sees_right=arm_of(run) == "mlm") for run in runs}
    for run in runs:
        attend(run, 0.5, step=0)
    (table,) = compare(runs).tables["attention"]
    assert isinstance(table, HeadsTable)
    clm, mlm = table.arms
    assert (clm.label, clm.seeds, clm.sees_right, mlm.sees_right) == ("clm", [0, 1, 2], False, True)
    of_mlm = np.stack([values[run] for run in runs if arm_of(run) == "mlm"])
    place = MEASURES.index("entropy")
    for layer in (1, 2):
        score = of_mlm[:, :, place, layer - 1].mean(2)
        scores = Scores(
            score=score, max_score=np.ones_like(score), seeds=(0, 1, 2), highest=float("inf")
        )
        found = mlm.layers[layer - 1]
        assert found.layer == layer
        assert found.means["entropy"] == estimate(scores)
        assert found.means["entropy"].mean == pytest.approx(score.mean())
    right = clm.layers[0].means["right"]
    assert (right.mean, right.low, right.high) == (0, 0, 0)
    assert len(mlm.heads) == 3 * LAYERS * HEADS
    assert mlm.untrained[0].means["left"].mean == pytest.approx(0.5 + 1 / 16, abs=0.03)
    page = FORMATS["md"](compare(runs))
    assert "clm, 3 runs, sees the left side alone" in page
    assert "attention is a weight, and no explanation" in page


def test_rows_fit_a_page(study: Path) -> None:
    cells = [
        percent(mean, half) for mean in (0.0, 0.055, 0.999, 1.0) for half in (0, 0.004, 0.2, 1)
    ]
    assert max(map(len, cells)) <= len("55.1 ±0.3") + 1
    assert percent(0.5512, 0.0031) == "55.1 ±0.4", "the half is rounded up"
    assert percent(0.5512, 0.104) == "55 ±11"
    assert percent(0.0, 0.0) == "0.0 ±0.0"
    assert with_half(12.34, None) == "12.3 ±—"


def rows_of(table: RelationsTable, relation: str) -> dict[tuple[str, str], RelationRow]:
    (block,) = [each for each in table.blocks if each.relation == relation]
    return {(row.label, row.direction): row for row in block.rows}


def test_a_relation_beside_its_offset_and_the_untrained_model(study: Path) -> None:
    runs = runs_of(study)
    for run in runs:
        if arm_of(run) == "mlm":
            follow(run, ("det", "to head", 0.9, 0.8, 0.3), ("det", "to dependent", 0.5, 0.9, 0.3))
            follow(run, ("det", "to head", 0.6, 0.2, 0.3), step=0)
        else:
            follow(run, ("det", "to dependent", 0.5, 0.5, 0.5))
    comparison = compare(runs)
    (table,) = comparison.tables["attention"]
    assert isinstance(table, RelationsTable)
    rows = rows_of(table, "det")
    mlm = rows["mlm", "to head"]
    assert mlm.is_shown, "the direction is chosen by the sentences for the choice"
    assert not rows["mlm", "to dependent"].is_shown
    assert rows["clm", "to dependent"].is_shown
    assert mlm.value.value == pytest.approx(33 / 41)
    assert mlm.value.low < 33 / 41 < mlm.value.high
    assert mlm.offset_value.value == pytest.approx(12 / 41)
    assert mlm.beyond.value == pytest.approx(21 / 41)
    assert mlm.beyond.low > 0
    assert mlm.untrained is not None
    assert mlm.untrained.value == pytest.approx(8 / 41)
    assert mlm.heads == [(2, 1), (2, 2), (2, 3)]
    clm = rows["clm", "to dependent"]
    assert (clm.beyond.value, clm.untrained) == (0, None)
    page = " ".join(FORMATS["md"](comparison).split())
    assert "2-1 2-2 2-3" in page
    assert "1 relation has fewer than 30 arcs in the test sentences, and left out: amod (5)" in page
    assert "only words whose target stands there count" in page
    beyond = comparison.frame[comparison.frame["metric"] == "det to head beyond offset"]
    assert beyond["value"].tolist() == [pytest.approx(21 / 41)]
    assert (beyond["low"] > 0).all()


def test_a_direction_that_one_seed_lacks_is_no_row(study: Path) -> None:
    first, second = (write_run(study, "mlm", seed) for seed in (0, 1))
    follow(first, ("det", "to head", 0.9, 0.8, 0.3), ("obj", "to head", 0.9, 0.8, 0.3))
    follow(second, ("det", "to head", 0.9, 0.7, 0.3))
    (table,) = compare([first, second]).tables["attention"]
    assert [each.relation for each in table.blocks] == ["det"]


def test_the_start_is_that_of_the_seeds_that_are_trained(study: Path) -> None:
    """One seed is known as it started alone, and of an arm one seed is not."""
    runs = [write_run(study, "mlm", seed) for seed in (0, 1)]
    for run in runs:
        attend(run, 0.5, step=0)
        follow(run, ("det", "to head", 0.6, 0.2, 0.3), step=0)
    attend(runs[1], 0.25)
    follow(runs[1], ("det", "to head", 0.9, 0.8, 0.3))
    heads, relations = compare(runs).tables["attention"]
    expected = values_of(runs[1], 0, 0.5)[:, MEASURES.index("left"), 0].mean()
    (arm,) = heads.arms
    assert arm.seeds == [1]
    assert arm.untrained[0].means["left"].mean == pytest.approx(expected)
    assert rows_of(relations, "det")["mlm", "to head"].untrained.value == pytest.approx(8 / 41)
    other = write_run(study, "mlm", 2)
    attend(other, 0.25)
    heads, _ = compare([*runs, other]).tables["attention"]
    assert heads.arms[0].seeds == [1, 2]
    assert not heads.arms[0].untrained


def test_all_heads_are_in_json_and_csv(study: Path) -> None:
    runs = runs_of(study)
    for run in runs:
        attend(run, 0.25)
        follow(run, ("det", "to head", 0.9, 0.8, 0.3))
    comparison = compare(runs)
    heads, relations = json.loads(FORMATS["json"](comparison))["tables"]["attention"]
    assert (heads["task"], relations["task"]) == ("heads", "relations")
    assert len(heads["arms"][0]["heads"]) == 3 * LAYERS * HEADS
    assert relations["blocks"][0]["rows"][0]["beyond"]["value"] == pytest.approx(21 / 41)
    rows = [*csv.DictReader(io.StringIO(FORMATS["csv"](comparison)))]
    places = {(row["layer"], row["head"]) for row in rows if row["metric"] == "attention_entropy"}
    assert places == {(str(layer), str(head)) for layer in (1, 2) for head in (1, 2, 3)}


def test_what_was_measured_before_the_end_is_said_and_left_out(study: Path) -> None:
    run, other = write_run(study, "clm", 0), write_run(study, "mlm", 0)
    attend(run, 0.25, step=50)
    attend(run, 0.25, step=0)
    attend(other, 0.25)
    comparison = compare([run, other])
    (table,) = comparison.tables["attention"]
    assert [each.label for each in table.arms] == ["mlm"]
    assert not table.arms[0].untrained
    said = [note for note in comparison.notes if "evaluated at step 50 of 100" in note]
    assert len(said) == 1
    assert f"`lmcompare eval --tasks attention {run.path}`" in said[0]


def test_every_head_is_a_point_of_the_picture(study: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = runs_of(study)
    for run in runs:
        attend(run, 0.25, sees_right=arm_of(run) == "mlm")
        attend(run, 0.5, step=0)
    comparison = compare(runs)
    paths = write_tables(comparison, tmp_path / "tables", name="compare")
    (path,) = [each for each in paths if "attention" in each.name]
    assert path.name == "compare-attention-validation-feedfeed.svg"
    drawn = path.read_text(encoding="utf-8")
    assert "validation: a point is a head of a run" in drawn
    for said in (
        "clm",
        "mlm",
        "layer",
        "mean distance, tokens",
        "share of the weight on the right",
    ):
        assert f">{said}<" in drawn
    (table,) = comparison.tables["attention"]
    assert draw_heads(table) == path.read_bytes() == draw_heads(table)
    assert draw_heads(table, format="png").startswith(b"\x89PNG")
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

    from lmcompare.comparison.figures.attention_heads import _panel

    axes = Figure().add_subplot()
    points = _panel(axes, table.arms[1])
    assert isinstance(points, PathCollection)
    places = np.asarray(points.get_offsets())
    assert len(places) == 3 * LAYERS * HEADS
    mlm = table.arms[1]
    np.testing.assert_allclose(places[:, 1], [each.values["distance"] for each in mlm.heads])
    np.testing.assert_allclose(points.get_array(), [each.values["right"] for each in mlm.heads])
    assert np.abs(places[:, 0] - [each.layer for each in mlm.heads]).max() < 0.5
