"""Maps of similarity: arms by arms, with what seeds differ by on the diagonal."""

import re
from pathlib import Path

import pytest

from lmcompare.comparison import compare
from lmcompare.comparison.figures.similarity_maps import draw_similarity
from tests.comparison.tables.test_similarity import study

pytest.importorskip("matplotlib")


def test_there_is_a_map_for_each_pair_and_arm_and_a_dot_where_they_differ(tmp_path: Path) -> None:
    (table,) = compare(study(tmp_path / "study")).tables["similarity"]
    drawn = draw_similarity(table).decode()
    assert len(re.findall(r"<image ", drawn)) == 3 + 1, "three maps and the bar of colours"
    for name in ("clm", "mlm"):
        assert f">{name}<" in drawn
    dots = len(re.findall(r"fill: #ffffff; stroke: #000000", drawn))
    (same,) = compare(study(tmp_path / "alike", between=0.91)).tables["similarity"]
    alike = len(re.findall(r"fill: #ffffff; stroke: #000000", draw_similarity(same).decode()))
    assert dots == alike + 1


def test_the_same_numbers_are_the_same_bytes(tmp_path: Path) -> None:
    (table,) = compare(study(tmp_path)).tables["similarity"]
    assert draw_similarity(table) == draw_similarity(table)
