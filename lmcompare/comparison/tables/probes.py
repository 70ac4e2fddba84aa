"""What the table of probes holds: arms by what their layers tell of one thing, beside controls.

Nothing is called the best. An arm wins, loses or ties with the reference as in benchmarks, at the
layer of each model that does best on the validation sentences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lmcompare.comparison.figures.learning_curves import LearningCurve
from lmcompare.comparison.tables.verdicts import (
    REFERENCE,
    Compared,
    shown,
    shown_interval,
)
from lmcompare.evaluation.metric import MISSING
from lmcompare.evaluation.probes.metrics import CENTER, COMPRESSION, CORRELATION, SCORE
from lmcompare.evaluation.probes.record import Group
from lmcompare.stats.paired_bootstrap import Interval

SCORES = ("arm", "score", "beside reference", "verdict, p", "layer")
MARKS = (
    "Scores are in percent, of the test sentences in the layer that does best on the validation "
    "sentences, with 95% intervals over sentences and seeds. layer: that layer, the mean over "
    "seeds, of the highest one; 0 is the embedding. untrained: the model as it started, at its own "
    "best layer.",
    "selectivity: points above the same probe on random labels of word types. above type (chain, "
    "first word, majority): points above what needs no model. Both with 95% intervals, paired over "
    "sentences and seeds. unseen: of word types that no training example has. center: the layer at "
    "which it is resolved, on average (center of gravity).",
    "wins, loses: p < 0.05, corrected for the whole table, in a test in which sentences and seeds "
    "are both random. Intervals of differences are of the same test. ties: anything else, and no "
    "proof that both are alike.",
)
CODE = (
    "compression: bits of the training labels, if all were as likely, over those of an online "
    "code; of the control task, the same for random labels of word types. 1 is none."
)
POOLINGS = {
    "mean": "the mean of a word's pieces",
    "first": "the first piece of a word",
    "last": "the last piece of a word",
}


@dataclass(frozen=True, kw_only=True)
class LayerPoint:
    """What is found in one layer: of several seeds the mean."""

    layer: int
    score: Interval
    control: float | None


@dataclass(frozen=True, kw_only=True)
class ProbeRow(Compared):
    """An arm, read in one way; what is not known of it, or does not apply, is None."""

    arm: str  # its label; that of the row says how it was read, too
    states_of: str | None
    objective: str
    finished: bool
    num_runs: int  # of the arm
    layer: float  # the best one
    highest_layer: int
    center: float | None = None
    selectivity: Interval | None = None
    above: Interval | None = None  # the block's baseline
    unseen: float | None = None
    untrained: Interval | None = None
    codelength: float | None = None  # bits
    compression: float | None = None
    control_compression: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)  # other scores, by name
    flags: Mapping[str, str] = field(default_factory=dict)  # each with the particulars
    curve: Sequence[LayerPoint] = ()
    untrained_curve: Sequence[LayerPoint] = ()


@dataclass(frozen=True, kw_only=True)
class ProbeBlock:
    """One probing task, asked of the same sentences."""

    group: Group
    task: str
    asks: str
    metric: str
    version: int
    text: str  # hash of the sentences
    wanted: Sequence[int]  # layers that were asked for; empty for all
    num_examples: int
    num_sentences: int  # of the test
    baselines: Mapping[str, float]  # what needs no model
    baseline: str | None  # that which scores stand beside
    reference: str | None  # the label of its row; None where there is nothing to compare
    rows: Sequence[ProbeRow]
    lines: Sequence[
        LearningCurve
    ]  # along training, of runs that were probed at several checkpoints
    notes: Sequence[str]

    @property
    def subtitle(self) -> str:
        """Return what was asked."""
        version = "" if self.version == 1 else f" version {self.version}"
        layers = f", layers {', '.join(map(str, self.wanted))} alone" if self.wanted else ""
        return (
            f"{self.task}{version}: {self.asks}. {self.metric}, {self.num_examples:,} examples in "
            f"{self.num_sentences:,} sentences {self.text[:8]}{layers}"
        )

    @property
    def scores(self) -> list[list[str]]:
        """Return the rows under `SCORES`, and below them what needs no model."""
        empty = [""] * (len(SCORES) - 2)
        anchors = [[name, shown(each, SCORE), *empty] for name, each in self.baselines.items()]
        return [*map(self._scores, self.rows), *anchors]

    def _scores(self, row: ProbeRow) -> list[str]:
        beside = "" if row.difference is None else shown_interval(row.difference, SCORE, sign="+")
        return [
            row.label,
            MISSING if row.value is None else shown_interval(row.value, SCORE),
            REFERENCE if row.label == self.reference else beside,
            row.verdict_in_words,
            f"{row.layer:.1f} of {row.highest_layer}",
        ]

    @property
    def controls(self) -> tuple[list[str], list[list[str]]]:
        """Return what stands beside the scores: headings, and a row for each arm."""
        columns = {"arm": [row.label for row in self.rows]}
        columns["selectivity"] = [_points(row.selectivity) for row in self.rows]
        columns[f"above {self.baseline}"] = [_points(row.above) for row in self.rows]
        columns["unseen"] = [SCORE.shown(row.unseen) for row in self.rows]
        columns["un-\ntrained"] = [
            MISSING if row.untrained is None else shown(row.untrained.value, SCORE)
            for row in self.rows
        ]
        for name in dict.fromkeys(name for row in self.rows for name in row.figures):
            columns[name] = [CORRELATION.shown(row.figures.get(name)) for row in self.rows]
        columns["center"] = [CENTER.shown(row.center) for row in self.rows]
        columns["seeds"] = [_seeds(row) for row in self.rows]
        if any(row.compression is not None for row in self.rows):
            columns["compression"] = [COMPRESSION.shown(row.compression) for row in self.rows]
            columns["of control"] = [
                COMPRESSION.shown(row.control_compression) for row in self.rows
            ]
        if any(row.flags for row in self.rows):
            columns["flags"] = [", ".join(row.flags) for row in self.rows]
        # what no arm has, as selectivity of trees, is no column
        kept = {
            name: cells for name, cells in columns.items() if any(each != MISSING for each in cells)
        }
        return [*kept], [[*cells] for cells in zip(*kept.values(), strict=True)]


@dataclass(frozen=True, kw_only=True)
class ProbeTable:
    """What a treebank was asked in one way; p is corrected for all comparisons in it."""

    source: str
    probe: str
    words: str
    blocks: Sequence[ProbeBlock]
    notes: Sequence[str]

    @property
    def how(self) -> str:
        """Return the treebank and the way, in words."""
        return f"{self.source}, {self.probe} probe, {POOLINGS.get(self.words, self.words)}"

    @property
    def name(self) -> str:
        """Return the name of a file for it."""
        return f"{self.source}-{self.probe}-{self.words}"


def _points(interval: Interval | None) -> str:
    return MISSING if interval is None else shown_interval(interval, SCORE, sign="+")


def _seeds(row: ProbeRow) -> str:
    few = len(row.seeds) < row.num_runs
    return f"{len(row.seeds)} of {row.num_runs}" if few else str(row.num_runs)
