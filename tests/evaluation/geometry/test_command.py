"""Toy runs: the geometry of their states, beside those of the models as they started."""

from pathlib import Path

import pytest

from lmcompare.comparison import compare
from lmcompare.evaluation.geometry.record import GeometryItem, GeometryRecord
from lmcompare.runs.finding import find_runs
from tests.tiny import Command, TrainOnce, flags, the_error

ASK = ("--tasks", "geometry", "--num-words", "101")


@pytest.fixture
def study(train_once: TrainOnce, corpus: Path) -> Path:
    for seed in (0, 1):
        train_once("-o", "clm", *flags(corpus, f"seed={seed}"))
    train_once("-o", "t5", *flags(corpus, "seed=0"))
    return Path("experiments/default")


def test_it_is_measured_beside_the_start_kept_and_compared(command: Command, study: Path) -> None:
    said = command("eval", study, *ASK)
    assert said.code == 0, said.err
    assert "101 words of validation" in said.out
    files = {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")}
    assert len(files) == 3 * 2 * 2
    assert command("eval", study, *ASK).out == said.out
    assert {path: path.stat().st_mtime_ns for path in study.glob("*/eval/*")} == files
    run = find_runs([study])[0]
    for record in run.results.read(GeometryRecord):
        items = run.results.items(record, GeometryItem)
        assert [item.layer for item in items] == [layer.layer for layer in record.layers]
        for layer, item in zip(record.layers, items, strict=True):
            assert 1 <= layer.effective_rank <= record.width
            assert layer.participation_ratio <= layer.effective_rank
            assert sum(item.spectrum) == pytest.approx(1)
    comparison = compare(find_runs([study]))
    (table,) = comparison.tables["geometry"]
    assert [(arm.label, arm.num_runs) for arm in table.arms] == [("clm", 2), ("t5 encoder", 1)]
    (first, *_) = table.arms[0].rows
    assert first.trained["anisotropy"].num == 2
    assert first.untrained["anisotropy"].mean != first.trained["anisotropy"].mean
    out = command("compare", study, "--no-write", "--table", "geometry").out
    assert "Geometry of 101 words of validation" in out
    metrics = {*comparison.frame["metric"]}
    assert {"anisotropy", "untrained anisotropy", "effective_rank", "mean_norm"} <= metrics


def test_without_the_start_there_is_a_dash(command: Command, study: Path) -> None:
    assert command("eval", study, *ASK, "--no-untrained", "--layers", "0,1").code == 0
    (table,) = compare(find_runs([study])).tables["geometry"]
    assert {row.layer for arm in table.arms for row in arm.rows} <= {0, 1}
    assert all(not row.untrained for arm in table.arms for row in arm.rows)


def test_one_text_alone_is_refused(command: Command, study: Path) -> None:
    first = sorted(study.glob("clm-*"))[0]
    error = the_error(command("eval", first, "--tasks", "geometry", "--num-words", "4"))
    assert "gives one text alone, and words of different ones are compared" in error
