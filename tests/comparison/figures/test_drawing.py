"""How objectives look in every picture: safe for the colour-blind, and told apart in grey."""

import itertools

import numpy as np
import pytest
from numpy import ndarray

from lmcompare.comparison.figures.drawing import LOOKS, UNKNOWN, looks
from lmcompare.objectives import OBJECTIVES

# Machado, Oliveira & Fernandes 2009, severity 1, in linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def lab(color: str, kind: str) -> ndarray:
    """A colour as it is seen, in Oklab (Ottosson 2020), in which black and white are 1 apart."""
    coded = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    seen = (np.array(BLINDNESS[kind]) @ linear).clip(0, 1)
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    found = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(found) @ np.cbrt(np.array(cones) @ seen)


def test_every_objective_has_a_look_of_its_own():
    assert {*LOOKS} == {*OBJECTIVES}
    colors, markers = zip(*LOOKS.values(), strict=True)
    assert len({*colors, UNKNOWN[0]}) == len(LOOKS) + 1
    assert len({*markers, UNKNOWN[1]}) == len(LOOKS) + 1


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_are_told_apart_by_all_eyes(kind):
    seen = {name: lab(color, kind) for name, (color, _) in LOOKS.items()}
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 0.08, (one, other)
    assert all(each[0] < 0.85 for each in seen.values()), "and from white"


def test_arms_of_one_objective_share_their_colour_alone():
    names = ["clm", *(f"mlm {number}" for number in range(5)), "toy"]
    objectives = {name: name.partition(" ")[0] for name in names}
    objectives["mlm 1"] = "mlm (rate 0.4)"
    found = looks(objectives)
    assert len({look.color for look in found.values()}) == 3
    rest = [(look.marker, look.hollow) for name, look in found.items() if name.startswith("mlm")]
    assert len({*rest}) == 5
    assert len({str(found[f"mlm {number}"].line) for number in range(4)}) == 4
    assert found["clm"].plotted["linestyle"] == "-"
    assert (found["toy"].color, found["toy"].marker) == UNKNOWN


def test_who_else_is_there_changes_no_look():
    assert looks({"b": "mdlm"})["b"] == looks({"a": "clm", "b": "mdlm", "c": "mlm"})["b"]
