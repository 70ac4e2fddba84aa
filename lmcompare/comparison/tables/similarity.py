"""Tell what the table of similarity holds: pairs of arms, beside what seeds of one arm differ by.

Two arms are said to differ in a layer only where they are less alike than seeds of one arm are, by
more than the interval of that difference. Both sides are means over pairs of runs of unlike seeds:
runs of one seed start from the same weights, which makes them alike by more than their objectives.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import special

from lmcompare.evaluation.similarity.measures import jackknife_error
from lmcompare.evaluation.similarity.options import Measure
from lmcompare.stats.intervals import LEVEL
from lmcompare.stats.paired_bootstrap import Interval

Seeds = tuple[int, int]  # of a run of the one arm, and of one of the other
# of each pair of runs the similarity of two layers, and after it the same without each group
Found = Mapping[Seeds, Float[ndarray, " G1"]]
FEWEST_SEEDS = 3  # of each arm: of fewer the spread over seeds is not known


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Tell how far the similarity of two arms lies below that of seeds.

    Attributes:
        between: the mean over pairs of runs of unlike seeds, one of each arm.
        floors: the same within each arm; None of one with a single seed.
        below: the lower floor less `between`, with its 95% interval where there are enough seeds.
    """

    between: float
    floors: tuple[float | None, float | None]
    below: Interval | None = None

    @property
    def differs(self) -> bool | None:
        """Tell whether the arms differ by more than seeds; None where that cannot be known."""
        return None if self.below is None else self.below.low > 0


def gap(between: Found, one: Found, other: Found) -> Gap:
    """Return how far two arms lie apart in two layers.

    The interval is that of a jackknife over seeds and of another over groups of words, each by
    Student's t; the words are the same for all pairs of runs.

    Args:
        between: of runs of both arms.
        one: of two runs of the one arm, the lower seed first.
        other: of two runs of the other.
    """
    apart = {seeds: values for seeds, values in between.items() if seeds[0] != seeds[1]}
    value = float(_mean((apart or between).values())[0])
    means = [float(_mean(each.values())[0]) if each else None for each in (one, other)]
    known = [each for each in means if each is not None]
    found = Gap(between=value, floors=(means[0], means[1]))
    if len(known) < 2 or not apart:
        return found
    lower = (one, other)[int(np.argmin(known))]
    ours, theirs = ({seed for pair in each for seed in pair} for each in (one, other))
    if min(len(ours), len(theirs)) < FEWEST_SEEDS:
        return found

    def below(without: set[tuple[int, int]]) -> ndarray | None:
        """Return the difference without some runs, each named by its arm, 0 or 1, and its seed."""
        side = 0 if lower is one else 1
        kept = [
            values
            for seeds, values in lower.items()
            if not without.intersection((side, seed) for seed in seeds)
        ]
        rest = [
            values
            for (left, right), values in apart.items()
            if not without.intersection(((0, left), (1, right)))
        ]
        return _mean(kept) - _mean(rest) if kept and rest else None

    whole = below(set())
    assert whole is not None
    half = _half(whole, _over_seeds(below, ours, theirs))
    middle = float(whole[0])
    interval = (
        None if half is None else Interval(value=middle, low=middle - half, high=middle + half)
    )
    return Gap(between=value, floors=found.floors, below=interval)


def _over_seeds(
    below: Callable[[set[tuple[int, int]]], ndarray | None], ours: set[int], theirs: set[int]
) -> tuple[float, int] | None:
    """Return the standard error over seeds, and its degrees of freedom; None if it is not known.

    Runs of one seed are left out together where both arms have the same seeds, as they share their
    start and the order of their text; else those of each arm by themselves.
    """
    sides: list[tuple[tuple[int, ...], set[int]]] = (
        [((0, 1), ours)] if ours == theirs else [((0,), ours), ((1,), theirs)]
    )
    variance = 0.0
    for arms, seeds in sides:
        values = []
        for left in sorted(seeds):
            found = below({(arm, left) for arm in arms})
            if found is None:
                return None
            values.append(found[0])
        variance += (jackknife_error(np.array(values)) or 0.0) ** 2
    return math.sqrt(variance), min(len(seeds) for _, seeds in sides) - 1


def _half(whole: ndarray, over_seeds: tuple[float, int] | None) -> float | None:
    if over_seeds is None:
        return None
    error, degrees = over_seeds
    total = (_student(degrees) * error) ** 2
    of_words = jackknife_error(whole[1:])
    if of_words is not None:
        total += (_student(len(whole) - 2) * of_words) ** 2
    return math.sqrt(total)


def _student(degrees: int) -> float:
    return float(special.stdtrit(degrees, (1 + LEVEL) / 2))


def _mean(values: Iterable[ndarray]) -> ndarray:
    found: ndarray = np.mean([*values], axis=0)
    return found


Means = tuple[tuple[float | None, ...], ...]  # layers of the one by those of the other


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One measure of a pair of arms: means over pairs of runs of unlike seeds, layers by layers.

    Attributes:
        between: of the two arms.
        same_seed: of runs of one seed, which share their start.
        floors: within each arm; None of one with a single seed.
        null: the 95% quantile where words are exchanged.
        gaps: of layers of the same number, by that.
    """

    between: Means
    same_seed: Means | None
    floors: tuple[Means | None, Means | None]
    null: Means
    gaps: Mapping[int, Gap]


@dataclass(frozen=True, kw_only=True)
class ArmPair:
    """Two arms, each read in one way.

    Attributes:
        one: the label of the one.
        other: that of the other.
        objectives: of both.
        layers: of the one.
        other_layers: of the other.
        num_pairs: of runs of unlike seeds, or of the same where there are no others.
        is_of_one_start: whether there are none of unlike seeds.
        grids: by measure.
    """

    one: str
    other: str
    objectives: tuple[str, str]
    layers: tuple[int, ...]
    other_layers: tuple[int, ...]
    num_pairs: int
    is_of_one_start: bool
    grids: Mapping[Measure, Grid]

    def best(self, measure: Measure, layer: int) -> tuple[int, float] | None:
        """Return the layer of the other that is most like one of the first, and how alike."""
        row = self.grids[measure].between[self.layers.index(layer)]
        known = [
            (value, -number)
            for value, number in zip(row, self.other_layers, strict=True)
            if value is not None
        ]
        if not known:
            return None
        value, number = max(known)
        return -number, value

    def null(self, measure: Measure, layer: int) -> float | None:
        """Return the null of layers of one number."""
        row = self.grids[measure].null[self.layers.index(layer)]
        return row[self.other_layers.index(layer)]


@dataclass(frozen=True, kw_only=True)
class SimilarityTable:
    """All pairs of arms on the same words."""

    source: str
    text: str  # hash of the words
    words: str  # how a word's pieces became one
    num_words: int
    num_sampled: int
    measures: Sequence[Measure]
    pairs: Sequence[ArmPair]
    notes: Sequence[str] = field(default=())

    @property
    def arms(self) -> list[str]:
        """Return the labels of all arms, each once."""
        return [*dict.fromkeys(each for pair in self.pairs for each in (pair.one, pair.other))]

    @property
    def name(self) -> str:
        """Return the name of a file for it."""
        return f"{self.source}-{self.text[:8]}"
