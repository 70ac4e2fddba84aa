"""From runs to everything that a table of them says."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from lmcompare.blocks import Paragraph
from lmcompare.compare import sanity_checks
from lmcompare.compare.arms import Arm, Result, group_arms, read_results
from lmcompare.compare.control import (
    DEPTH,
    HIDDEN_TOKENS,
    PROMPTS,
    ControlCheck,
    control_checks,
    depths,
)
from lmcompare.compare.figures.drawing import can_draw
from lmcompare.compare.figures.learning_curves import Curves, learning_curves
from lmcompare.compare.frame import tidy, with_differences
from lmcompare.compare.plateau import note_on_plateaus
from lmcompare.compare.selecting import select
from lmcompare.compare.tables import task_results
from lmcompare.compare.tables.generation import GenerationTable, generation_tables
from lmcompare.compare.tables.infilling import InfillingTable, infilling_tables
from lmcompare.compare.tables.likelihood import short
from lmcompare.compare.tables.likelihood_sections import Section, sections
from lmcompare.compare.tables.task_verdicts import benchmark_tables
from lmcompare.compare.tables.tasks import BenchmarkTable
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.evaluation.selection import Kind
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.run import Run

# what an objective changes by its nature, at one budget and backbone
_CONSEQUENCES = ("steps", "tokens", "targets", "flops", "parameters")
_CAUSES = ("tokenizer", "backbone", "budget", "batch")

_FEWEST_SEEDS = 3
_LARGEST_ERROR = 0.01  # of a sampled likelihood: above it a note says so
_NAMED = 3  # facts held equal that the summary names


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is known of some runs, side by side."""

    frame: pd.DataFrame  # tidy: a row for each run and metric
    sections: Sequence[Section]  # the table: rows within a section may be ranked
    hidden: Sequence[InfillingTable]  # the second table, if anything was asked: nothing is ranked
    generated: Sequence[GenerationTable]  # the third, of what was written: as the second
    benchmarks: Sequence[BenchmarkTable]  # one for each kind: verdicts beside a reference
    curves: Sequence[Curves]  # of benchmarks that were asked at several checkpoints
    facts: Sequence[ControlCheck]  # what was held equal, and what not
    consequences: Sequence[ControlCheck]
    notes: Sequence[str]

    @property
    def summary(self) -> list[Paragraph]:
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
    """One tidy frame of all runs: a row for each run and metric, in the units that it names.

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

    Raises:
        UserError: no run is finished, or one is broken or of another schema, or no arm is called
            as the reference, or no result is what was selected.
    """
    notes: list[str] = []
    results = read_results(runs, unfinished=unfinished, note=notes.append)
    results = select(results, only=only, latest=latest, note=notes.append)
    arms = group_arms(results, note=notes.append)
    frame = tidy(arms)
    notes += _notes_on_runs(arms)
    notes += _notes_on_seeds(arms)
    notes += _notes_on_sampling(arms)
    table = sections(arms, frame)
    facts = control_checks(arms) if sum(len(arm.results) for arm in arms) > 1 else []
    unequal = ", ".join(
        fact.name for fact in facts if not fact.equal and fact.name not in (HIDDEN_TOKENS, PROMPTS)
    )
    if unequal and any(row.mark for section in table for row in section.rows):
        notes.append(
            f"best and tie are about these models, not objectives alone, as these differ: {unequal}"
        )
    consequences = _consequences(arms, frame)
    if any(each.name == DEPTH for each in consequences):
        notes.append(f"{DEPTH}: number of layers; encoder + decoder where there are both")
    notes += sanity_checks.notes_on_likelihoods(arms)
    left = {arm.label: [each.steps_to_leave_unigram for each in arm.results] for arm in arms}
    if plateaus := note_on_plateaus(left):
        notes.append(plateaus)
    benchmarks = benchmark_tables(arms, reference=reference)
    if reference is not None and not benchmarks:
        notes.append(f"no benchmark was asked, so nothing is compared with {reference}")
    generated, curves = generation_tables(arms), learning_curves(arms)
    notes += _notes_on_writing(generated)
    if curves and not can_draw():
        notes.append("no picture of learning curves: it needs pip install 'lmcompare[plots]'")
    return Comparison(
        frame=with_differences(frame, arms, benchmarks),
        sections=table,
        hidden=infilling_tables(arms),
        generated=generated,
        benchmarks=benchmarks,
        curves=curves,
        facts=facts,
        consequences=consequences,
        notes=notes,
    )


def _notes_on_writing(generated: Sequence[GenerationTable]) -> Iterator[str]:
    """Why there is no picture of what was written."""
    if any(table.judge is None for table in generated):
        yield (
            "what was written has no judge, and so there is no picture of it: lmcompare eval "
            "--tasks generation --judge RUN"
        )
    if any(table.judge is not None for table in generated) and not can_draw():
        yield "no picture of what was written: it needs pip install 'lmcompare[plots]'"


def _notes_on_runs(arms: Sequence[Arm]) -> Iterator[str]:
    results = [result for arm in arms for result in arm.results]
    marked = [arm.label for arm in arms if not arm.finished]
    if marked:
        yield f"unfinished, so not ranked: {', '.join(marked)}"
    missing = _lacking(results, "likelihood", lambda result: result.likelihoods)
    if missing:
        yield f"not evaluated: lmcompare eval {' '.join(missing)}"
    unasked = _lacking(results, "infilling", lambda result: result.infillings)
    if 0 < len(unasked) < len(results):
        yield f"not asked for hidden tokens: lmcompare eval --tasks infilling {' '.join(unasked)}"
    silent = _lacking(results, "generation", lambda result: result.generations)
    if 0 < len(silent) < len(results):
        yield f"not asked to write: lmcompare eval --tasks generation {' '.join(silent)}"
    for result in results:
        for option, measured in (
            ("", result.likelihoods),
            (" --tasks infilling", result.infillings),
            (" --tasks generation", result.generations),
        ):
            stale = [each.step for each in measured if result.is_stale(each)]
            if stale:
                yield (
                    f"evaluated at step {stale[0]:,} of {result.spent.steps:,} and left out: "
                    f"lmcompare eval{option} {result.run.path}"
                )
        again = {_what(each) for each in (*result.likelihoods, *result.infillings, *result.tasks)}
        old = {_what(each): each.task for each in result.outdated}
        tasks = [task for what, task in old.items() if what not in again]
        if tasks:
            yield (
                "asked in a way that there is no longer, and left out: lmcompare eval --tasks "
                f"{','.join(dict.fromkeys(tasks))} {result.run.path}"
            )
        for benchmark in task_results.stale(result):
            yield (
                f"asked at step {benchmark.step:,} of {result.spent.steps:,} and left out: "
                f"lmcompare eval --tasks {benchmark.task} {result.run.path}"
            )
    disturbed = [str(each.run.path) for each in results if each.undisturbed_seconds is not None]
    if disturbed:
        yield (
            "secs: other work on the machine slowed some runs down; (... alone) is their mean at "
            f"the speed of their undisturbed steps: {', '.join(disturbed)}"
        )
    changed = [each for each in results if (each.record.git_commit or "").endswith("+")]
    if changed:
        yield (
            f"{len(changed)} of {len(results)} runs were made by an lmcompare with changes "
            "that are in no commit: whether they share their code is not known"
        )


def _lacking(
    results: Sequence[Result], kind: Kind, measured: Callable[[Result], Sequence[ResultRecord]]
) -> list[str]:
    """The runs of which nothing of a kind was measured."""
    return [
        str(result.run.path)
        for result in results
        if not measured(result) and not result.is_unselected(kind)
    ]


def _what(record: ResultRecord) -> tuple[str, str, str, int]:
    """Return what was asked of which model, however it was asked."""
    return record.task, record.source, record.text, record.step


def _notes_on_seeds(arms: Sequence[Arm]) -> Iterator[str]:
    single = [arm.label for arm in arms if len(arm.results) == 1]
    few = [arm.label for arm in arms if 1 < len(arm.results) < _FEWEST_SEEDS]
    if single:
        yield f"one seed, so no interval and no ranking: {', '.join(single)}"
    if few:
        yield f"fewer than {_FEWEST_SEEDS} seeds, so the interval is poor: {', '.join(few)}"


def _notes_on_sampling(arms: Sequence[Arm]) -> Iterator[str]:
    """Which likelihoods were sampled too few times."""
    largest: dict[str, float] = {}
    for arm in arms:
        for result in arm.results:
            sampled: list[LikelihoodRecord | InfillingRecord] = [
                *result.likelihoods,
                *result.infillings,
            ]
            for record in sampled:
                if record.standard_error is not None and record.nats:
                    hidden = [record.hidden] if isinstance(record, InfillingRecord) else []
                    what = " ".join([arm.label, str(record.scoring), *hidden])
                    error = record.standard_error / record.nats
                    largest[what] = max(error, largest.get(what, 0.0))
    wide = [f"{what} {error:.1%}" for what, error in largest.items() if error > _LARGEST_ERROR]
    if wide:
        yield f"sampled, with a standard error above {_LARGEST_ERROR:.0%}: {', '.join(wide)}"


def _consequences(arms: Sequence[Arm], frame: pd.DataFrame) -> list[ControlCheck]:
    """Which costs differ between arms, and the depths where some brought an encoder."""
    facts = []
    for metric in _CONSEQUENCES:
        means = frame[frame["metric"] == metric].groupby("label")["value"].mean()
        found: dict[str, list[str]] = {}
        for arm in arms:
            if not arm.finished:
                continue  # what it has not spent yet follows from nothing
            found.setdefault(short(means[arm.label]), []).append(arm.label)
        if len(found) > 1:
            facts.append(ControlCheck(name=metric, equal=False, found=found))
    depth = depths(arms)
    return facts if depth is None else [depth, *facts]
