"""What was written, drawn: how good it is beside how diverse."""

import subprocess
import sys

import pytest

from lmcompare.comparison import compare, write_tables
from lmcompare.comparison.figures.drawing import LOOKS
from lmcompare.comparison.figures.quality_diversity import frame_of, frontier, lines
from tests.comparison.known_answers import JUDGE, third, wrote
from tests.comparison.known_runs import write_run


def test_the_picture_holds_every_way_and_the_text_itself(study):
    runs = [write_run(study, name, seed) for name in ("clm", "mdlm") for seed in (0, 1)]
    for run in runs:
        for temperature in (0.5, 1.0):
            flops = 1e6 if run.record().arm == "clm" else 1e8
            wrote(
                run,
                1.0 + temperature + run.record().config.seed / 8,
                temperature / 2,
                sampler={"temperature": temperature},
                cost={"flops_per_token": flops},
            )
    comparison = compare(runs)
    paths = write_tables(comparison, study / "tables", name="compare")
    assert [path.name for path in paths][-1] == "compare-generation.svg"
    drawn = paths[-1].read_text()
    for words in (
        *("clm, left-to-right", "mdlm, ancestral", "the text itself", "T 0.5", "T 1"),
        *(
            JUDGE.name,
            "bars: 95% intervals; area: FLOPs/token, 1M to 100M",
            "10 texts of 48 tokens",
        ),
    ):
        assert f">{words}<" in drawn or f"({words})<" in drawn, words
    assert all(LOOKS[name][0].lower() in drawn for name in ("clm", "mdlm"))
    again = write_tables(compare(runs), study / "tables", name="compare")
    assert again[-1].read_text() == drawn
    assert comparison.notes == compare(runs).notes
    png = frontier(third(comparison), format="png")
    assert png is not None
    assert png.startswith(b"\x89PNG")


def test_a_line_is_a_change_of_temperature_alone(study):
    run = write_run(study, "mdlm", 0)
    for sampler in (
        *({"temperature": temperature, "steps": 8} for temperature in (1.0, 0.5)),
        *({"temperature": temperature} for temperature in (0.5, 1.0)),
        *({"greedy": True, "steps": 8}, {"beams": 4}, {"beams": 2}),
    ):
        wrote(run, 1.5, sampler=sampler)
    table = third(compare([run]))
    found = {tuple(row.settings for row in line) for line in lines(table.rows)}
    assert found == {
        ("temperature 0.5, steps 8", "temperature 1, steps 8"),
        ("temperature 0.5", "temperature 1"),
        *(("greedy, steps 8",), ("beams 4",), ("beams 2",)),
    }
    drawn = frontier(table)
    assert drawn is not None
    assert all(f">{words}<" in drawn.decode() for words in ("T 1, steps 8", "greedy, steps 8"))


def test_a_picture_spans_its_points_whatever_the_bars_do():
    assert frame_of([1.0, 3.0], (2.0, 6.0)) == pytest.approx((0.5, 6.5))
    assert frame_of([2.0], None) == pytest.approx((1.9, 2.1))


def test_a_single_point_is_a_picture(study):
    run = write_run(study, "clm", 0)
    wrote(run, 1.5)
    assert frontier(third(compare([run]))) is not None


def test_each_judge_has_a_picture(study):
    runs = [write_run(study, name, 0, settings={"objective": "clm"}) for name in "ab"]
    wrote(runs[0], 1.5)
    wrote(runs[1], 1.5, text="def0" * 4)
    paths = write_tables(compare(runs), study / "tables", name="compare")
    names = [path.name for path in paths if path.suffix == ".svg"]
    assert names == ["compare-generation.svg", "compare-generation2.svg"]


def test_without_a_judge_or_matplotlib_there_is_no_picture(study, monkeypatch):
    run = write_run(study, "clm", 0)
    wrote(run, None)
    comparison = compare([run])
    assert frontier(third(comparison)) is None
    assert any(note.startswith("what was written has no judge") for note in comparison.notes)
    wrote(run, 1.5)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    comparison = compare([run])
    note = "no picture of what was written: it needs pip install 'lmcompare[plots]'"
    assert note in comparison.notes
    paths = write_tables(comparison, study / "tables", name="compare")
    assert {path.suffix for path in paths} == {".csv", ".md", ".tex", ".json"}


@pytest.mark.slow
def test_comparing_needs_neither_matplotlib_nor_what_is_slow_to_import():
    command = """
import sys
import lmcompare.comparison
from lmcompare.evaluation.registry import kinds
kinds()
assert not {"matplotlib", "scipy.stats", "sklearn", "transformers"}.intersection(sys.modules)
"""
    subprocess.run([sys.executable, "-c", command], check=True)
