"""What probes find layer by layer, and along training, drawn."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lmcompare.comparison import FORMATS, compare, write_tables
from lmcompare.comparison.figures.drawing import GREY, LOOKS
from lmcompare.comparison.figures.layer_curves import draw_layers, draw_training
from lmcompare.runs.run import Run
from tests.comparison.known_probes import NUM, WORDS, block, flat, probe, probed, some, tables


def arms(study: Path) -> list[Run]:
    runs = probed(study, "clm", 0.5, 0.6, 0.5) + probed(study, "mlm", 0.9, objective="mlm")
    for run in runs:
        probe(run, [flat(2), flat(3)], task="arc", group="edge")
        probe(run, [flat(2)] * 4, step=0)
    return runs


def on_its_way(study: Path) -> list[Run]:
    runs = arms(study)
    for step, share in ((25, 0.3), (50, 0.4)):
        probe(runs[0], [some(share / 2), some(share)], step=step)
    return runs


def test_a_curve_is_the_mean_of_seeds_with_its_interval(study):
    row = block(compare(probed(study, "clm", 0.5, 0.6, 0.5))).rows[0]
    assert [point.layer for point in row.curve] == [0, 1, 2, 3]
    for point in row.curve:
        assert point.score.low < point.score.value < point.score.high
        assert point.control is not None
    assert row.curve[2].score.value == pytest.approx(row.value.value)
    assert row.untrained_curve == []


def test_layers_that_not_all_seeds_have_are_no_points(study):
    runs = probed(study, "clm", 0.5, 0.5)
    probe(runs[1], [flat(1), flat(2)])
    assert [point.layer for point in block(compare(runs)).rows[0].curve] == [0, 1]


def test_layer_curves_are_drawn(study, tmp_path):
    pytest.importorskip("matplotlib")
    comparison = compare(arms(study))
    paths = write_tables(comparison, tmp_path / "tables", name="compare")
    assert [path.name for path in paths[len(FORMATS) :]] == [
        "compare-layers-en_toy-ud-linear-mean.svg"
    ]
    drawn = paths[-1].read_text()
    for said in ("upos", "arc", "clm", "mlm", "control task", "untrained", "95% interval", "layer"):
        assert f">{said}<" in drawn
    for color in (LOOKS["clm"][0], LOOKS["mlm"][0], GREY):
        assert color.lower() in drawn.lower()
    assert "stroke-dasharray" in drawn
    [table] = tables(comparison)
    assert draw_layers(table) == draw_layers(table) == paths[-1].read_bytes()
    assert draw_layers(table, format="png").startswith(b"\x89PNG")


def test_what_is_not_there_is_not_explained(study):
    pytest.importorskip("matplotlib")
    [table] = tables(compare(probed(study, "clm", 0.5, control=None)))
    drawn = draw_layers(table).decode()
    assert ">control task<" not in drawn
    assert ">untrained<" not in drawn


def test_baselines_that_are_close_share_a_label(study):
    pytest.importorskip("matplotlib")
    runs = probed(study, "clm", 0.5)
    probe(
        runs[0],
        [flat(2), flat(6)],
        task="Mood",
        baselines={"majority": flat(4), "type": flat(4.01)},
    )
    [table] = tables(compare(runs))
    drawn = draw_layers(table).decode()
    # one under the other: in the panel of Mood 8 points apart, in the other one far apart
    heights = {
        name: [float(each) for each in re.findall(rf"[\d.]+ ([\d.]+)\)\">{name}<", drawn)]
        for name in ("majority", "type")
    }
    apart = [under - over for under, over in zip(*heights.values(), strict=True)]
    assert sorted(each > 10 for each in apart) == [False, True]
    assert min(apart) > 7


def test_checkpoints_are_a_curve_of_their_own(study, tmp_path):
    comparison = compare(on_its_way(study))
    [upos, arc] = tables(comparison)[0].blocks
    assert (upos.task, arc.task, arc.lines) == ("upos", "arc", [])
    [line] = upos.lines
    assert (line.label, line.objective, line.seed) == ("clm", "clm", 0)
    assert [point.spent.tokens for point in line.points] == [0, 25 * 2032, 50 * 2032, 100 * 2032]
    assert line.points[1].value == pytest.approx(some(0.3).sum() / NUM / WORDS)
    assert (
        upos.rows[0].value
        == compare(arms(study / "again")).tables["probes"][0].blocks[0].rows[0].value
    ), "the table is of the end"
    pytest.importorskip("matplotlib")
    paths = write_tables(comparison, tmp_path / "tables", name="compare")
    assert paths[-1].name == "compare-probes-in-training-en_toy-ud-linear-mean.svg"
    drawn = paths[-1].read_text()
    assert ">tokens read<" in drawn
    assert ">arc<" not in drawn
    assert ">mlm<" not in drawn
    assert draw_training(tables(comparison)[0]) == paths[-1].read_bytes()


def test_names_are_text_in_layer_curves(study):
    pytest.importorskip("matplotlib")
    evil = '<script>$x$ & "\x1b[31m'
    runs = probed(study, "clm", 0.5, source=evil)
    probe(runs[0], [flat(2), flat(3)], task=evil, source=evil, baselines={evil: flat(1)})
    for table in tables(compare(runs)):
        ElementTree.fromstring(draw_layers(table).decode())


def test_without_matplotlib_there_is_a_note(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    comparison = compare(on_its_way(study))
    notes = [note for note in comparison.notes if "lmcompare[plots]" in note]
    assert notes == ["no picture of layers: it needs pip install 'lmcompare[plots]'"]
    assert len(write_tables(comparison, tmp_path, name="compare")) == len(FORMATS)
