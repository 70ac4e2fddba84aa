"""The values of benchmarks along training, drawn."""

import json
from pathlib import Path

import pytest

from lmcompare.comparison import FORMATS, compare, write_tables
from lmcompare.comparison.figures.drawing import LOOKS
from lmcompare.comparison.figures.learning_curves import draw
from lmcompare.config.budget import Spent
from lmcompare.runs.run import Run
from tests.comparison.known_scores import EVEN, NUM, ask, models, right, rows


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
    assert LOOKS["clm"][0].lower() in drawn
    [curves] = compare(runs).tables["curves"]
    assert draw(curves) == draw(curves) == paths[-1].read_bytes()
    assert draw(curves, format="png").startswith(b"\x89PNG")
