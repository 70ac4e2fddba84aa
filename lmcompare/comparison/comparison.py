"""From runs to everything that a table of them says."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lmcompare.blocks import Paragraph, markdown
from lmcompare.comparison.arms import Arm, read_results
from lmcompare.comparison.consequences import DEPTH, depths, phases
from lmcompare.comparison.control import ControlCheck, control_checks
from lmcompare.comparison.document import document
from lmcompare.comparison.frame import tidy, with_rows
from lmcompare.comparison.grouping import group_arms
from lmcompare.comparison.plateau import note_on_plateaus
from lmcompare.comparison.selecting import select
from lmcompare.comparison.summary import Material, Summary
from lmcompare.comparison.tables import AnyTables, all_tables
from lmcompare.errors import UserError
from lmcompare.evaluation.metric import short
from lmcompare.runs.curves import Axis
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.run import Run

# what an objective changes by its nature, at one budget and backbone
_CONSEQUENCES = ("steps", "tokens", "targets", "flops", "parameters")
_CAUSES = ("tokenizer", "backbone", "budget", "batch")

_FEWEST_SEEDS = 3
_LARGEST_ERROR = 0.01  # of a sampled likelihood: above it a note says so
_NAMED = 3  # facts held equal that the preface names


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """A comparison holds what is known of some runs, side by side."""

    arms: Sequence[Arm]
    frame: pd.DataFrame  # tidy: a row for each run and metric
    tables: Mapping[str, Sequence[Any]]  # by the key of `lmcompare.comparison.tables`
    facts: Sequence[ControlCheck]  # what was held equal, and what not
    consequences: Sequence[ControlCheck]
    notes: Sequence[str]
    notes_on: Mapping[str, Sequence[str]]  # of these, by the key of a table, those about it alone
    summary: Summary

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self.frame['label'].unique())})"

    def __str__(self) -> str:
        return markdown.render(document(self))

    def _repr_markdown_(self) -> str:
        """Return how a notebook shows it."""
        return str(self)

    @property
    def preface(self) -> list[Paragraph]:
        """Return what must be read before the tables."""
        if not self.facts:
            return [Paragraph("Held equal", "there is one run, and nothing to compare it with")]
        equal = [fact.name for fact in self.facts if fact.equal]
        unequal = [str(fact) for fact in self.facts if not fact.equal]
        found = []
        if unequal:
            found.append(Paragraph("Not held equal", "; ".join(unequal), warns=True))
        which = f"{len(equal) or 'none'} of the" if unequal else "all"
        some = ", ".join([*equal[:_NAMED], *(["..."] if len(equal) > _NAMED else [])])
        some = f" ({some}); see the control sheet" if equal else ""
        found.append(Paragraph("Held equal", f"{which} {len(self.facts)} facts checked{some}"))
        if self.consequences:
            heading = "Follows from the objective"
            if {fact.name for fact in self.facts if not fact.equal}.intersection(_CAUSES):
                heading += ", and from what was not held equal"
            found.append(Paragraph(heading, "; ".join(map(str, self.consequences))))
        return found


def collect(runs: Iterable[Run], *, unfinished: bool = False) -> pd.DataFrame:
    """Return one tidy frame of all runs: a row for each run and metric, in the units that it names.

    Arms that are compared in benchmarks have a row more for each comparison.

    Raises:
        UserError: no run is finished, or one is broken or of another schema.
    """
    return compare(runs, unfinished=unfinished).frame


def compare(
    runs: Iterable[Run],
    *,
    unfinished: bool = False,
    reference: str | None = None,
    only: Sequence[str] | None = None,
    latest: bool = False,
    at: Axis | None = None,
    quality: float | None = None,
    judge_all: bool = False,
) -> Comparison:
    """Put finished runs side by side.

    Args:
        runs: of any studies; those that differ in their seed only are averaged.
        unfinished: take in unfinished runs as they stand; they are marked, and never ranked.
        reference: the label of the arm that the others stand beside in benchmarks; by default the
            first one.
        only: take in these results alone, selected as in `lmcompare.evaluation.selection`; all by
            default.
        latest: of results of a run that differ in their settings only, take in the last.
        at: in the summary, tell what arms learn where as much of this was spent; by default, of
            each in turn.
        quality: in the summary, tell what it took to reach this, nats of a hidden token; by default
            the worst that a run ended with.
        judge_all: rank models that were trained elsewhere and give verdicts on them, though nothing
            of their training is held equal.

    Raises:
        UserError: no run is finished, or one is broken or of another schema, or no arm is called
            as the reference, or no result is what was selected, or the quality is none.
    """
    if quality is not None and not 0 < quality < math.inf:
        raise UserError(f"{quality:g} nats is no quality to reach: choose a `quality=` above 0")
    notes: list[str] = []
    results = read_results(runs, unfinished=unfinished, note=notes.append)
    results = select(results, only=only, latest=latest, note=notes.append)
    arms = group_arms(results, note=notes.append, judge_all=judge_all)
    frame = tidy(arms)
    notes_on = {each.key: [*_notes_on_measuring(arms, each)] for each in all_tables()}
    notes += _notes_on_runs(arms)
    notes += _notes_on_seeds(arms)
    notes += _notes_on_sampling(arms)
    shown = [(each, each.tables(arms, frame, reference=reference)) for each in all_tables()]
    facts = control_checks(arms) if sum(len(arm.results) for arm in arms) > 1 else []
    judged = [arm for arm in arms if arm.judged]
    about = facts if len(judged) == len(arms) else control_checks(judged) if judged else []
    unequal = ", ".join(fact.name for fact in about if not fact.equal and fact.ranks)
    if unequal and any(each.is_ranked(tables) for each, tables in shown):
        notes.append(
            f"best and tie are about these models, not objectives alone, as these differ: {unequal}"
        )
    consequences = _consequences(arms, frame)
    if any(each.name == DEPTH for each in consequences):
        notes.append(f"{DEPTH}: number of layers; encoder + decoder where there are both")
    left = {arm.label: [each.steps_to_leave_unigram for each in arm.results] for arm in arms}
    if plateaus := note_on_plateaus(left):
        notes.append(plateaus)
    named = {arm.label: arm for arm in arms}
    for each, tables in shown:
        own = [*each.notes(arms, tables, reference=reference)]
        notes_on[each.key] += own
        notes += own
        frame = with_rows(frame, each.rows(tables, named))
    found = {each.key: tables for each, tables in shown}
    contests = [contest for each, tables in shown for contest in each.contests(tables)]
    return Comparison(
        arms=arms,
        frame=frame,
        tables=found,
        facts=facts,
        consequences=consequences,
        notes=notes,
        notes_on=notes_on,
        summary=Summary.of(
            Material(arms=arms, tables=found, contests=contests, at=at, quality=quality)
        ),
    )


def _notes_on_measuring(arms: Sequence[Arm], tables: AnyTables) -> Iterator[str]:
    """Yield of which runs something was not measured for some tables, or before their end."""
    results = [result for arm in arms for result in arm.results]
    yield from tables.lacking(results)
    for result in results:
        yield from tables.stale(result)


def _notes_on_runs(arms: Sequence[Arm]) -> Iterator[str]:
    results = [result for arm in arms for result in arm.results]
    marked = [arm.label for arm in arms if not arm.finished]
    if marked:
        yield f"unfinished, so not ranked: {', '.join(marked)}"
    elsewhere = [arm.label for arm in arms if not arm.judged]
    if elsewhere:
        yield (
            "trained elsewhere, on a text and at a cost that are not known, so not ranked and "
            f"without verdicts: {', '.join(elsewhere)}"
        )
    kinds = all_tables()
    for each in kinds:
        yield from each.lacking(results)
    for result in results:
        for each in kinds:
            yield from each.stale(result)
        again = {_what(record) for record in result.measured}
        old = {_what(record): record.task for record in result.outdated}
        tasks = [task for what, task in old.items() if what not in again]
        if tasks:
            yield (
                "asked in a way that there is no longer, and left out: "
                f"`lmcompare eval --tasks {','.join(dict.fromkeys(tasks))} {result.run.path}`"
            )
    disturbed = [str(each.run.path) for each in results if each.undisturbed_seconds is not None]
    if disturbed:
        yield (
            "secs: other work on the machine slowed some runs down; (... alone) is their mean at "
            f"the speed of their undisturbed steps: {', '.join(disturbed)}"
        )
    for result in results:
        if (imported := result.record.imported) is not None:
            why = [imported.why_none] if imported.objective is None else []
            for said in (*imported.rules, *why):
                yield f"{result.record.arm}: {said}"
    changed = [each for each in results if (each.record.git_commit or "").endswith("+")]
    if changed:
        yield (
            f"{len(changed)} of {len(results)} runs were made by an lmcompare with changes "
            "that are in no commit: whether they share their code is not known"
        )


def _what(record: ResultRecord) -> tuple[str, str, str, int]:
    """Return what was asked of which model, however it was asked."""
    return record.task, record.source, record.text, record.step


def _notes_on_seeds(arms: Sequence[Arm]) -> Iterator[str]:
    single = [arm.label for arm in arms if len(arm.results) == 1 and not arm.elsewhere]
    few = [arm.label for arm in arms if 1 < len(arm.results) < _FEWEST_SEEDS]
    if single:
        yield f"one seed, so no interval and no ranking: {', '.join(single)}"
    if few:
        yield f"fewer than {_FEWEST_SEEDS} seeds, so the interval is poor: {', '.join(few)}"


def _notes_on_sampling(arms: Sequence[Arm]) -> Iterator[str]:
    """Yield which likelihoods were sampled too few times."""
    largest: dict[str, float] = {}
    for arm in arms:
        for result in arm.results:
            for record in result.measured:
                if (found := record.sampling_error) is not None:
                    what = f"{arm.label} {found[0]}"
                    largest[what] = max(found[1], largest.get(what, 0.0))
    wide = [f"{what} {error:.1%}" for what, error in largest.items() if error > _LARGEST_ERROR]
    if wide:
        yield f"sampled, with a standard error above {_LARGEST_ERROR:.0%}: {', '.join(wide)}"


def _consequences(arms: Sequence[Arm], frame: pd.DataFrame) -> list[ControlCheck]:
    """Return which costs differ between arms, and the depths where some brought an encoder."""
    facts = []
    for metric in _CONSEQUENCES:
        means = frame[frame["metric"] == metric].groupby("label")["value"].mean()
        found: dict[str, list[str]] = {}
        for arm in arms:
            if not arm.finished or arm.label not in means:
                continue  # what it has not spent yet, or nobody knows, follows from nothing
            found.setdefault(short(means[arm.label]), []).append(arm.label)
        if len(found) > 1:
            facts.append(ControlCheck(name=metric, equal=False, found=found))
    return [each for each in (phases(arms), depths(arms)) if each is not None] + facts
