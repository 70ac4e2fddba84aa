"""Tell what answers say by distance: curves, with intervals over texts and seeds, and their reach.

Tokens of one stretch of text are not independent of each other. So stretches are what varies, as
texts do elsewhere; the value of a model is the mean over its tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from lmcompare.evaluation.context.record import Change, ContextItem, ContextRecord, Side, key_of
from lmcompare.runs.run import Run
from lmcompare.stats.intervals import Estimate
from lmcompare.stats.paired_bootstrap import BootstrapSample, Scores, resample
from lmcompare.stats.significance import estimate

SHARE = 0.95  # of the gain, which the effective context gives
What = Literal["lost", "moved"]


@dataclass(frozen=True, kw_only=True)
class EffectiveLength:
    """Tell how far a side must reach to give 95% of its gain, with the ends of a 95% interval.

    Attributes:
        value: in tokens, the mean over seeds.
        low: the lower end.
        high: the upper end.
        at_least: whether a seed has it between the last two distances, so that more context
            than was asked about may count; then its value is the first of the two.
    """

    value: float
    low: float
    high: float
    at_least: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ContextAnswers:
    """Tell what models that differ in their seed alone answered to the same questions.

    Attributes:
        records: one of each model.
        items: of each model, its answers.
    """

    records: Sequence[ContextRecord]
    items: Sequence[Sequence[ContextItem]]

    @staticmethod
    def of(found: Sequence[tuple[Run, ContextRecord]]) -> "ContextAnswers":
        """Return the answers of some runs; those that cannot answer are left out.

        Raises:
            UserError: the items behind a record are missing or broken.
        """
        able = [(run, record) for run, record in found if record.gain is not None]
        return ContextAnswers(
            records=[record for _, record in able],
            items=[run.results.items(record, ContextItem) for run, record in able],
        )

    @property
    def distances(self) -> tuple[int, ...]:
        """Return from which distances on a side was changed; the last one changes nothing."""
        return self.records[0].distances

    def sees(self, side: Side) -> bool:
        """Tell whether these models can make use of a side."""
        return side in self.records[0].sides

    def whole_side(self, what: What, side: Side) -> Scores | None:
        """Return what it does to cut a whole side, of all tokens; None where it is not seen."""
        num = self.records[0].num_tokens
        return self.scores(what, "cut", side, 0, num=num) if self.sees(side) else None

    def mean(self, what: What, side: Side) -> Estimate:
        """Return the mean of that, which is 0 where a side is not seen."""
        scores = self.whole_side(what, side)
        if scores is None:
            return Estimate(mean=0.0, low=0.0, high=0.0, num=len(self.records))
        return estimate(scores)

    def curve(self, what: What, change: Change, side: Side) -> list[Estimate]:
        """Return what a change from each distance on does; empty where nothing is seen there."""
        if not self.sees(side):
            return []
        last = len(self.distances) - 1
        return [estimate(self.scores(what, change, side, at)) for at in range(last)]

    def changed(self, change: Change, side: Side) -> Estimate:
        """Return the nats that it costs to change a whole side, of the same tokens however."""
        num = self.records[0].num_changed_tokens
        return estimate(self.scores("lost", change, side, 0, num=num))

    def gradient_right(self) -> Scores | None:
        """Return which share of the gradient falls to the right; None where there is none."""
        shares = [[each.gradient_right for each in own] for own in self.items]
        numbers = np.array(shares, dtype=np.float64)
        known = np.isfinite(numbers).all(0)
        return self._by_text(numbers[:, known], self._texts[known]) if known.any() else None

    def effective_length(self, side: Side) -> EffectiveLength | None:
        """Return how far a side must reach; None where it is not seen, or nothing is gained."""
        if not self.sees(side):
            return None
        gain = estimate(self.scores("lost", "cut", side, 0))
        if gain.mean <= 0 or (gain.low is not None and gain.low <= 0):
            return None
        scores = [self.scores("lost", "cut", side, at) for at in range(len(self.distances) - 1)]
        samples = resample(scores)  # all on the same texts
        value, beyond = effective_length(
            np.stack([each.by_seed for each in samples], axis=-1), self.distances
        )
        drawn, _ = effective_length(
            np.stack([each.drawn for each in samples], axis=-1), self.distances
        )
        found = BootstrapSample(scores=scores[0], by_seed=value, drawn=drawn).interval
        return EffectiveLength(
            value=found.value, low=found.low, high=found.high, at_least=bool(beyond.any())
        )

    @property
    def _texts(self) -> Int[ndarray, " N"]:
        return np.array([each.text for each in self.items[0]])

    def scores(
        self, what: What, change: Change, side: Side, at: int, *, num: int | None = None
    ) -> Scores:
        """Return the sum over the tokens of each text, and their number.

        Args:
            what: is summed.
            change: of the side.
            side: which one.
            at: the number of the distance from which on it was changed.
            num: of the first tokens; by default all that were changed so at each distance.
        """
        about = self.records[0]
        num = num or (about.num_curve_tokens if change == "cut" else about.num_changed_tokens)
        values = [
            [getattr(each, what)[key_of(change, side)][at] for each in own[:num]]
            for own in self.items
        ]
        return self._by_text(np.array(values), self._texts[:num])

    def _by_text(self, values: Float[ndarray, "S N"], texts: Int[ndarray, " N"]) -> Scores:
        _, number = np.unique(texts, return_inverse=True)
        sums = np.stack([np.bincount(number, weights=each) for each in values])
        return Scores(
            score=sums,
            max_score=np.tile(np.bincount(number).astype(np.float64), (len(values), 1)),
            seeds=tuple(each.seed for each in self.records),
            highest=float("inf"),
        )


def effective_length(
    lost: Float[ndarray, "*N K"], distances: Sequence[int]
) -> tuple[Float[ndarray, "*N"], Float[ndarray, "*N"]]:
    """Return the smallest distance that gives 95% of the gain, and whether it is a lower limit.

    Between measured distances the gain is taken for a straight line. Where 95% is reached after the
    last distance but one, all that is known is that it takes more than that.

    Args:
        lost: nats by which a token costs more where a side is cut at each distance but the last,
            which is the whole side.
        distances: ascending from 0, one more than there are numbers.
    """
    lost = np.asarray(lost, dtype=np.float64)
    whole = np.concatenate([lost, np.zeros_like(lost[..., :1])], axis=-1)
    total = np.where(lost[..., :1] > 0, lost[..., :1], np.nan)
    share = (lost[..., :1] - whole) / total
    share[..., -1] = 1.0
    end = np.argmax(share >= SHARE, axis=-1)[..., None]
    after = np.take_along_axis(share, end, -1)[..., 0]
    before = np.take_along_axis(share, end - 1, -1)[..., 0]
    places = np.array(distances, dtype=np.float64)
    far, near = places[end[..., 0]], places[end[..., 0] - 1]
    beyond = end[..., 0] == len(distances) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        between = near + (far - near) * (SHARE - before) / (after - before)
    return np.where(beyond, near, between), beyond
