"""Curves of training are drawn where they were logged, with readable axes."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from lmcompare import files
from lmcompare.comparison.arms import read_results
from lmcompare.comparison.figures.training_curves import curves_of, draw, with_points
from lmcompare.comparison.grouping import group_arms
from lmcompare.runs.curves import AXES, Axis
from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run
from tests.comparison.known_runs import write_run


def _log(run: Run, values: list[float | None]) -> None:
    lines = [
        MetricsLine(
            step=step,
            tokens=step * 1_000,
            targets=step * 100,
            flops=step * 10**9,
            seconds=step / 7,
            loss=4.0,
            learning_rate=1e-3,
            gradient_norm=1.0,
            common=value,
        )
        for step, value in enumerate(values, start=1)
    ]
    files.write_text(run.metrics_file, "".join(f"{line.model_dump_json()}\n" for line in lines))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    found = [write_run(tmp_path / "s", name, 0, finished=False) for name in ("clm", "mlm", "plm")]
    for run, values in zip(
        found, ([5.0, 4.5, 4.0], [6.0, None, 5.5], [None, None, 5.0]), strict=True
    ):
        _log(run, values)
    return found


def test_arms_with_two_points_or_more_are_drawn(runs: list[Run]) -> None:
    arms = group_arms(read_results(runs, unfinished=True, note=print), note=print)
    every = curves_of(arms)
    assert {*with_points(every, "common")} == {"clm [unfinished]", "mlm [unfinished]"}
    assert not with_points(every, "validation")


@pytest.mark.parametrize("axis", AXES)
def test_its_axes_are_in_plain_numbers(runs: list[Run], axis: Axis) -> None:
    arms = group_arms(read_results(runs, unfinished=True, note=print), note=print)
    curves = with_points(curves_of(arms), "common")
    svg = draw(curves, "common", axis)
    texts = [each.text or "" for each in ElementTree.fromstring(svg).iter() if each.text]
    assert not [text for text in texts if "mathdefault" in text]
    assert any(text.strip() and text.strip()[0].isdigit() for text in texts)
    assert draw(curves, "common", axis) == svg
