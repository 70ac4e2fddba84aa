"""Tell what an objective is best suited for, as far as a test of significance carries it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from lmcompare.comparison.arms import Arm, Result
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow
from lmcompare.comparison.summary.understanding import LinguisticKnowledge, Understanding
from lmcompare.comparison.tables.verdicts import Contest
from lmcompare.stats.paired_bootstrap import FEWEST_SEEDS

NO_DIFFERENCE = "no difference shown"


class BestSuited(Aspect):
    """Tell what each arm wins at, and over whom, by the verdicts of benchmarks and probes alone.

    A verdict on fewer seeds than tell of their spread is about models, not objectives; one that a
    check speaks against is about neither. Neither is taken in.
    """

    name: ClassVar[str] = "Best suited for"
    about: ClassVar[str] = (
        f"what it wins at: verdicts of benchmarks and probes, of {FEWEST_SEEDS} seeds or more"
    )
    in_words: ClassVar[bool] = True

    def rows(self, given: Material) -> Sequence[SummaryRow]:
        cells = {arm.label: _cell(arm, given) for arm in given.arms}
        return [SummaryRow(heading=self.name, metric=None, cells=cells)]

    def files(self, result: Result) -> Iterator[Path]:
        yield from Understanding().files(result)
        yield from LinguisticKnowledge().files(result)


def _cell(arm: Arm, given: Material) -> Cell:
    own = [each for each in given.contests if arm.label in (each.arm, each.reference)]
    if not own:
        return Cell(why=_why_no_verdict(arm, given))
    sound = [each for each in own if each.num_seeds >= FEWEST_SEEDS]
    if not sound:
        num = "one seed carries" if len(arm.results) == 1 else "so few seeds carry"
        return Cell(why=f"{num} no verdict on an objective: train {FEWEST_SEEDS} or more")
    decided = [each for each in sound if each.winner is not None and not each.doubtful]
    wins = [each for each in decided if each.winner == arm.label]
    losses = [each for each in decided if each.winner != arm.label]
    said = [*_in_words("wins at", wins, "over", arm), *_in_words("loses at", losses, "to", arm)]
    return Cell(shown="; ".join(said) or NO_DIFFERENCE)


def _in_words(how: str, contests: Sequence[Contest], whom: str, arm: Arm) -> Iterator[str]:
    """Yield what is won or lost, and by whom; what is of the same other arms together."""
    others: dict[str, list[str]] = {}
    for each in contests:
        other = each.reference if each.arm == arm.label else each.arm
        others.setdefault(each.question, []).append(other)
    questions: dict[str, list[str]] = {}
    for question, found in others.items():
        questions.setdefault(", ".join(dict.fromkeys(found)), []).append(question)
    for labels, decided in questions.items():
        yield f"{how} {', '.join(decided)} {whom} {labels}"


def _why_no_verdict(arm: Arm, given: Material) -> str:
    if not arm.judged:
        return "it was trained elsewhere, so nothing is held equal and it has no verdict"
    if len(arm.results) < FEWEST_SEEDS:
        num = len(arm.results)
        return (
            f"{'one seed carries' if num == 1 else f'{num} seeds carry'} no verdict on an "
            f"objective: train {FEWEST_SEEDS} or more"
        )
    if len(given.arms) == 1:
        return "there is nothing to compare it with"
    if not arm.finished:
        return "unfinished, so it has no verdict"
    measures = [
        each.measure for each in (Understanding(), LinguisticKnowledge()) if _lacks(each, arm)
    ]
    commands = " or ".join(f"`{given.command(each, arm.results)}`" for each in measures)
    return f"no verdict: {commands or 'no other arm was asked the same'}"


def _lacks(aspect: Aspect, arm: Arm) -> bool:
    return not any(aspect.records(result) for result in arm.results)
