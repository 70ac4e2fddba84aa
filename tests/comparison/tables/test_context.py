"""What arms gain from context, in a comparison: its table, its picture and its row."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lmcompare.comparison import FORMATS, compare, document, write_tables
from lmcompare.comparison.figures.drawing import LOOKS
from lmcompare.comparison.formats import to_json
from lmcompare.runs.run import Run
from tests.comparison.known_context import use_context
from tests.comparison.known_runs import write_run


@pytest.fixture
def runs(study: Path) -> list[Run]:
    made = [write_run(study, "clm", seed) for seed in range(3)]
    for run, gain in zip(made, (1.9, 2.0, 2.1), strict=True):
        use_context(run, left=gain)
    made.append(write_run(study, "mlm", 0))
    use_context(made[-1], left=1.0, right=0.5)
    return made


def rows(runs: list[Run], title: str) -> dict[tuple[str, str], list[str]]:
    """The rows of a table by arm and side."""
    [part] = [
        part
        for block in document(compare(runs), ["context"])
        for part in getattr(block, "parts", ())
        if part.title.startswith(title)
    ]
    return {(row[0], row[1]): list(row[2:]) for row in part.rows}


def test_each_side_has_its_gain_its_length_and_its_gradient(runs: list[Run]) -> None:
    found = rows(runs, "Context: ")
    nats, within, gradient, state = found["clm", "left"]
    assert nats.startswith("2.100 ±")
    assert within == "3.9 [3.9, 3.9]"
    assert (gradient, state) == ("100.0%", "0.125 ±0.000")
    assert found["clm", "right"] == ["0 l", "—", "0.0%", "0 l"]
    assert found["mlm", "left"][1:3] == ["3.9 [3.9, 3.9]", "75.0%"]
    assert found["mlm", "right"][0].startswith("0.525")
    assert found["mlm", "right"][1:3] == ["0.9 [0.9, 0.9]", "25.0%"]


def test_seeds_widen_the_interval(runs: list[Run], study: Path) -> None:
    [alone] = [write_run(study / "alone", "clm", 0)]
    use_context(alone, left=2.0)
    one = compare([alone]).tables["context"][0].rows[0].gain["left"]
    three = compare(runs).tables["context"][0].rows[0].gain["left"]
    assert one.half_width == pytest.approx(0, abs=1e-9), "all texts are alike"
    # Student's t of 2 degrees, of 0.105 between seeds
    assert three.half_width == pytest.approx(4.303 * 0.105 / 3**0.5, rel=1e-3)


def test_curves_stand_by_distance_and_by_change(runs: list[Run]) -> None:
    found = rows(runs, "Context by distance")
    assert found["clm", "left"] == ["2.100", "2.100", "2.100", "0.000"]
    assert found["mlm", "right"] == ["0.525", "0.000", "0.000", "0.000"]
    assert ("clm", "right") not in found
    assert len(rows(runs, "Context by change")["mlm", "left"]) == 3


def test_an_arm_that_cannot_be_asked_is_a_dash_with_its_reason(
    runs: list[Run], study: Path
) -> None:
    mute = write_run(study, "plm", 0)
    blank = {"gain": None, "nats": None, "scoring": None, "given": None, "gradient": None}
    use_context(mute, **blank, reason="it says nothing of one token")
    runs.append(mute)
    assert rows(runs, "Context: ")["plm", ""] == ["—"] * 4
    said = str(document(compare(runs), ["context"]))
    assert "— plm: it says nothing of one token" in said
    cells = of_summary(runs)["nats from the left"]
    assert (cells["plm"].shown, cells["plm"].why) == ("", "it says nothing of one token")


def of_summary(runs: list[Run]):
    return {
        row.heading: row.cells
        for aspect, _, found in compare(runs).summary.aspects
        for row in found
        if aspect.name == "Context"
    }


def test_the_summary_shows_them_with_intervals(runs: list[Run]) -> None:
    found = of_summary(runs)
    left = found["nats from the left"]["clm"]
    assert left.shown.startswith("2.100 ±0.26")
    assert left.low is not None
    assert left.low < 2.1
    right = found["nats from the right"]
    assert (right["clm"].shown, right["clm"].value) == ("0", 0.0)
    assert right["clm"].why.startswith("sees nothing on the right")
    assert right["mlm"].value == pytest.approx(0.525)
    assert found["95% of the left, tokens"]["mlm"].shown == "3.9 [3.9, 3.9]"
    assert found["gradient from the right"]["mlm"].shown == "25.0%"


def test_where_it_was_not_measured_the_summary_says_what_does(study: Path) -> None:
    runs = [write_run(study, "clm", 0), write_run(study, "mlm", 0)]
    [cells] = [each for heading, each in of_summary(runs).items() if heading == "not measured"]
    assert "`lmcompare eval --tasks context " in cells["clm"].why
    use_context(runs[0])
    assert (
        f"eval --tasks context {runs[1].path}`" in of_summary(runs)["nats from the left"]["mlm"].why
    )


def test_its_picture_has_a_panel_a_side_and_a_colour_an_objective(
    runs: list[Run], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    paths = write_tables(compare(runs), tmp_path / "tables", name="compare")
    assert [path.name for path in paths[len(FORMATS) :]] == [
        "compare-context-validation-c0dec0de.svg"
    ]
    drawn = paths[-1].read_text()
    ElementTree.fromstring(drawn)
    for said in ("context on the left", "context on the right", "clm", "mlm", "cut", "replaced"):
        assert f">{said}<" in drawn
    for name in ("clm", "mlm"):
        assert LOOKS[name][0].lower() in drawn.lower()
    again = write_tables(compare(runs), tmp_path / "again", name="compare")
    assert again[-1].read_text() == drawn


def test_it_is_json_and_rows_of_the_frame(runs: list[Run]) -> None:
    comparison = compare(runs)
    [table] = json.loads(to_json(comparison))["tables"]["context"]
    assert table["distances"] == [0, 1, 2, 4, 7]
    assert table["rows"][1]["lost"]["cut right"][0]["mean"] == pytest.approx(0.525)
    frame = comparison.frame[comparison.frame["label"] == "mlm"]
    found = dict(zip(frame["metric"], frame["value"], strict=True))
    assert found["context_left"] == pytest.approx(1.05)
    assert found["context_right"] == pytest.approx(0.525)
    assert found["effective_context_left"] == pytest.approx(3.9)
    assert found["gradient_share_right"] == pytest.approx(0.25)
    assert found["state_change_right"] == pytest.approx(0.125)
