"""How fast a trained model writes and reads."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from lmcompare.comparison.arms import Result
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow
from lmcompare.evaluation.generation.record import ROWS_TOGETHER
from lmcompare.evaluation.metric import Metric
from lmcompare.evaluation.speed.metrics import ALONE, READING, TOGETHER
from lmcompare.evaluation.speed.record import SpeedRecord
from lmcompare.stats.intervals import mean_interval


class Inference(Aspect):
    """Tokens a second in writing and texts a second in reading."""

    name: ClassVar[str] = "Inference"
    about: ClassVar[str] = "how fast it writes and reads on this machine"
    record = SpeedRecord
    measure: ClassVar[str] = "lmcompare eval --tasks speed RUNS"

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        if not any(map(self.records, given.results)):
            return self.nothing(given)
        lacking = self.not_measured(given)
        timed = [each for each in map(self._latest, given.results) if each is not None]
        several = len({each.machine for each in timed}) > 1
        rows = [
            _row(given, metric, heading, self._latest, lacking, several)
            for metric, heading in (
                (ALONE, "tokens/s, one text"),
                (TOGETHER, f"tokens/s, {ROWS_TOGETHER} texts"),
                (READING, "texts/s read"),
            )
        ]
        return [*rows, self._in_words(given, lacking)]

    def _latest(self, result: Result) -> SpeedRecord | None:
        """Return what was measured last, of a run that was timed under several settings."""
        found = [each for each in self.records(result) if isinstance(each, SpeedRecord)]
        return max(found, key=result.run.results.measured) if found else None

    def _in_words(self, given: Material, lacking: str) -> SummaryRow:
        """Return whether tokens are written one after another."""
        cells = {}
        for arm in given.arms:
            found = [each for each in map(self._latest, arm.results) if each is not None]
            passes = [each.passes_per_token for each in found if each.passes_per_token is not None]
            if passes:
                # a prompt may take a pass of its own
                cells[arm.label] = Cell(shown="parallel" if max(passes) < 1 else "sequential")
            else:
                cells[arm.label] = Cell(why=_reason(found, lacking))
        return SummaryRow(heading="tokens are written", metric=None, cells=cells)


def _row(
    given: Material,
    metric: Metric,
    heading: str,
    latest: Callable[[Result], SpeedRecord | None],
    lacking: str,
    several_machines: bool,
) -> SummaryRow:
    cells = {}
    for arm in given.arms:
        found = [each for each in map(latest, arm.results) if each is not None]
        values = [value for each in found if (value := each.values[metric.name]) is not None]
        if values:
            remarks = [*_remarks(found, several_machines)]
            cells[arm.label] = Cell.of(metric, mean_interval(values), why="; ".join(remarks))
        else:
            cells[arm.label] = Cell(why=_reason(found, lacking))
    return SummaryRow(heading=heading, metric=metric, cells=cells)


def _reason(found: Sequence[SpeedRecord], lacking: str) -> str:
    return next((each.reason for each in found if each.reason), lacking)


def _remarks(found: Sequence[SpeedRecord], several_machines: bool) -> Iterator[str]:
    """Yield what must be known of a figure."""
    if several_machines:
        machines = " and ".join(sorted({each.machine for each in found}))
        yield f"timed on {machines}: what was timed on other machines does not compare"
    if any(each.disturbed for each in found):
        yield "other work on the machine slowed some rounds down, which are left out"
