"""All layers of one model with all of another: every measure, with its null."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmcompare.evaluation.similarity.layers import Layers, StoredLayer
from lmcompare.evaluation.similarity.measures import (
    Measured,
    cka,
    hsic_and_without,
    procrustes,
    svcca,
)
from lmcompare.evaluation.similarity.moments import Moments, moments
from lmcompare.evaluation.similarity.options import Measure
from lmcompare.evaluation.similarity.patterns import (
    Null,
    Pattern,
    SampledLayers,
    measured,
    null_of_decompositions,
    null_of_patterns,
)

# of the sums of two layers
_OF_MOMENTS: Mapping[Measure, Callable[[Moments, StoredLayer, StoredLayer], Measured]] = {
    "cka": lambda sums, x, y: cka(hsic_and_without(sums), x.hsic, y.hsic),
    "svcca": lambda sums, x, y: svcca(sums, x.sums, y.sums, x.whitening, y.whitening),
    "procrustes": lambda sums, x, y: procrustes(sums),
}
_OF_SAMPLE: Sequence[Pattern] = ("neighbours", "rsa")


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedLayers:
    """Tell what one measure says of each layer of the one model with each of the other."""

    found: Sequence[Sequence[Measured]]
    nulls: Sequence[Sequence[Null]]


def compare_layers(
    one: Layers,
    other: Layers,
    measures: Sequence[Measure],
    *,
    report: Callable[[float], None] = lambda share: None,
) -> dict[Measure, ComparedLayers]:
    """Return how alike all layers of two models are, or those of one model.

    Args:
        one: the one.
        other: the other; the same value within a model.
        measures: which similarities.
        report: told the share that is done, 0 to 1.
    """
    grids = {
        name: np.empty((len(one.layers), len(other.layers)), dtype=object) for name in measures
    }
    wanted = {name: of for name, of in _OF_MOMENTS.items() if name in measures}
    for row, x in enumerate(one.layers):
        for column, y in enumerate(other.layers):
            known = one is other and column < row
            sums = (
                None if known or not wanted else moments(x.features, y.features, one.places.groups)
            )
            for name, of in wanted.items():
                grids[name][row, column] = (
                    grids[name][column, row] if sums is None else of(sums, x, y)
                )
        report((row + 1) / (len(one.layers) + len(measures)))
    nulls: dict[Measure, list[list[Null]]] = {}
    for done, name in enumerate(measures, start=1):
        nulls[name] = _of_sample(name, one.sampled, other.sampled, grids[name])
        report((len(one.layers) + done) / (len(one.layers) + len(measures)))
    return {
        name: ComparedLayers(found=grids[name].tolist(), nulls=nulls[name]) for name in measures
    }


def _of_sample(
    name: Measure, one: SampledLayers, other: SampledLayers, grid: np.ndarray
) -> list[list[Null]]:
    """Return the null of a measure, and fill in what the sample alone tells."""
    if name == "svcca":
        return null_of_decompositions(one.scores, other.scores, mean=True)
    if name == "procrustes":
        return null_of_decompositions(one.scaled, other.scaled, mean=False)
    x = one.patterns(name)
    y = x if one is other else other.patterns(name)
    if name in _OF_SAMPLE:
        for row, left in enumerate(x):
            for column, right in enumerate(y):
                grid[row, column] = measured(name, left, right, one.starts)
    return null_of_patterns(x, y)
