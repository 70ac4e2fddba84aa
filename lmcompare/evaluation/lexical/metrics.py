"""The metric of lexical knowledge, and what groups of words cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmcompare.evaluation.lexical.record import BANDS, GROUPS, LexicalItem, LexicalRecord
from lmcompare.evaluation.metric import Metric
from lmcompare.runs.run import Run
from lmcompare.stats.paired_bootstrap import Scores

NATS = Metric(
    name="lexical_nats", unit="nats/word", heading="nats/word", lowest=0.0, better="lower"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LexicalAnswers:
    """Tell what models that differ in their seed alone answered about the same words."""

    records: Sequence[LexicalRecord]
    items: Sequence[Sequence[LexicalItem]]

    @staticmethod
    def of(found: Sequence[tuple[Run, LexicalRecord]]) -> "LexicalAnswers":
        """Return the answers of some runs; those that cannot answer are left out.

        Raises:
            UserError: the items behind a record are missing or broken.
        """
        able = [(run, record) for run, record in found if record.nats is not None]
        return LexicalAnswers(
            records=[record for _, record in able],
            items=[run.results.items(record, LexicalItem) for run, record in able],
        )

    def num(self, group: str, band: str) -> int:
        """Return the fewest words that a model was asked for of a group and band."""
        return min((int(own.sum()) for own in self._which(group, band)), default=0)

    def scores(self, group: str, band: str) -> Scores:
        """Return what words of a group and band cost, text by text.

        Which band a word is in depends on what a model has read, so that models of other seeds may
        have other words in it.
        """
        number = np.array([each.text for each in self.items[0]])
        which = self._which(group, band)
        nats = [np.array([each.nats for each in own]) for own in self.items]
        sums = [np.bincount(number, weights=a * b) for a, b in zip(nats, which, strict=True)]
        nums = [np.bincount(number, weights=each) for each in which]
        return Scores(
            score=np.stack(sums),
            max_score=np.stack(nums),
            seeds=tuple(each.seed for each in self.records),
            highest=float("inf"),
        )

    def _which(self, group: str, band: str) -> list[np.ndarray]:
        test = GROUPS[group]
        return [
            np.array([float(each.band == band and test(each)) for each in own])
            for own in self.items
        ]


EVERY = [(group, band) for group in GROUPS for band in BANDS]
