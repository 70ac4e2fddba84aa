"""Describe the tables of attention: what the heads of each arm are like, and what they follow."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lmcompare.evaluation.attention.record import Direction
from lmcompare.stats.intervals import Estimate
from lmcompare.stats.paired_bootstrap import Interval

Means = Mapping[str, Estimate]  # by the name of the measure


@dataclass(frozen=True, kw_only=True)
class LayerMeans:
    """Hold the means over heads, texts and seeds of each measure of a layer."""

    layer: int
    means: Means


@dataclass(frozen=True, kw_only=True)
class HeadFigures:
    """Hold the means over texts of each measure of one head of one run."""

    seed: int
    layer: int
    head: int
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class AttendingArm:
    """An arm, read in one way.

    Attributes:
        label: of the row; that of the arm, and how it was read.
        arm: the label of the arm.
        objective: its name.
        finished: whether its runs are.
        seeds: of them.
        sees_right: whether a token may look at those on its right.
    """

    label: str
    arm: str
    objective: str
    finished: bool
    seeds: Sequence[int]
    sees_right: bool

    @property
    def subtitle(self) -> str:
        """Return what it is called, how many seeds it has, and which side it does not see."""
        runs = f"{len(self.seeds)} {'run' if len(self.seeds) == 1 else 'runs'}"
        return f"{self.label}, {runs}{'' if self.sees_right else ', sees the left side alone'}"


@dataclass(frozen=True, kw_only=True)
class HeadsOfArm(AttendingArm):
    """Hold the figures of the heads of an arm.

    Attributes:
        layers: of the trained models.
        untrained: of the same as they started; empty where that was not measured.
        heads: every head of every run.
    """

    layers: Sequence[LayerMeans]
    untrained: Sequence[LayerMeans]
    heads: Sequence[HeadFigures]


@dataclass(frozen=True, kw_only=True)
class HeadsTable:
    """Hold the figures of the heads of all arms on the same text."""

    task: Literal["heads"] = "heads"
    source: str
    text: str
    num_texts: int
    num_tokens: int
    arms: Sequence[HeadsOfArm]

    @property
    def title(self) -> str:
        """Return what it is about."""
        texts = f"{self.num_texts:,} {'text' if self.num_texts == 1 else 'texts'}"
        return f"Attention of {self.source} {self.text[:8]}: {texts}, {self.num_tokens:,} tokens"

    @property
    def name(self) -> str:
        """Return the name of a file for it."""
        return f"{self.source}-{self.text[:8]}"


@dataclass(frozen=True, kw_only=True)
class RelationRow(AttendingArm):
    """Tell how well the best heads of an arm follow a relation in one direction.

    Attributes:
        direction: from a dependent to its head, or the other way.
        num_cases: words in the test sentences that have a target in sight.
        num_out_of_sight: further ones that have none.
        heads: by seed, the layer and the number of the head that was chosen.
        offsets: by seed, the offset that was chosen.
        choice: the mean share of hits in the sentences for the choice.
        value: the share of hits in the test sentences.
        offset_value: that of the offset.
        beyond: the first less the second, paired over sentences.
        untrained: the share of hits of the best heads before training, chosen anew.
        is_shown: whether it is the direction in which the arm exceeds the offset by more, in the
            sentences for the choice.
    """

    direction: Direction
    num_cases: int
    num_out_of_sight: int
    heads: Sequence[tuple[int, int]]
    offsets: Sequence[int]
    choice: float
    value: Interval
    offset_value: Interval
    beyond: Interval
    untrained: Interval | None
    is_shown: bool


@dataclass(frozen=True, kw_only=True)
class RelationBlock:
    """A relation, and the arms whose heads may follow it."""

    relation: str
    rows: Sequence[RelationRow]


@dataclass(frozen=True, kw_only=True)
class RelationsTable:
    """The relations of a treebank, the most frequent first."""

    task: Literal["relations"] = "relations"
    source: str
    text: str
    min_arcs: int
    num_sentences: int  # of the test
    blocks: Sequence[RelationBlock]
    notes: Sequence[str]

    @property
    def title(self) -> str:
        """Return what it is about."""
        return (
            f"Heads that follow a relation of {self.source} {self.text[:8]}: "
            f"{self.num_sentences:,} test sentences"
        )


AttentionTable = HeadsTable | RelationsTable


def percent(value: float, half: float | None, *, sign: str = "") -> str:
    """Return a share in percent with half of its interval, in nine characters at most."""
    return with_half(100 * value, None if half is None else 100 * half, sign=sign)


def with_half(value: float, half: float | None, *, sign: str = "") -> str:
    """Return a number and half of its interval, which is rounded up; fewer digits of wide ones."""
    if half is None:
        return f"{value:{sign}.1f} ±—"
    if half >= 9.9 or abs(value) >= 99.95:
        return f"{value:{sign}.0f} ±{math.ceil(half - 1e-9)}"
    return f"{value:{sign}.1f} ±{math.ceil(10 * half - 1e-9) / 10:.1f}"


def half_of(interval: Interval) -> float:
    """Return the larger half of an interval."""
    return max(interval.high - interval.value, interval.value - interval.low)
