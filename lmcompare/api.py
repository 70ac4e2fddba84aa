"""A program or a notebook calls this: train, load, evaluate and compare.

It adds nothing to what the command line does: both call the same parts of the library, and the
command line adds options, display and signals. Nothing is printed; warnings go to `warn`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from lmcompare.comparison import Comparison, EvaluationResults
from lmcompare.comparison import compare as compare_runs
from lmcompare.config.run import data_table, parse_data
from lmcompare.errors import UserError
from lmcompare.evaluation.evaluate import Evaluation
from lmcompare.evaluation.kind import Context
from lmcompare.evaluation.registry import read_options
from lmcompare.paths import cache_folder
from lmcompare.runs.curves import Axis
from lmcompare.runs.finding import find_runs, with_models
from lmcompare.runs.notes import NotesChange
from lmcompare.runs.places import EXPERIMENTS, find_places, find_study
from lmcompare.runs.run import Run
from lmcompare.training import launch, planning
from lmcompare.training.events import Message, Progress

if TYPE_CHECKING:
    import pandas as pd

Warn = Callable[[str], None]
AnyPath = str | Path
AnyRuns = Run | AnyPath | Sequence[Run | AnyPath]  # `Runs` is a sequence of them


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


class Runs(Sequence[Run]):
    """Some runs, in order."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> "Runs": ...
    def __getitem__(self, index: int | slice) -> "Run | Runs":
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        return f"Runs({', '.join(str(run.path) for run in self)})"

    def frame(self, *, unfinished: bool = False) -> "pd.DataFrame":
        """Return all that is known of the runs, a row for each run and metric.

        The columns are those of `lmcompare.comparison.frame.COLUMNS`; arms that are compared in
        benchmarks have a row more for each comparison.

        Args:
            unfinished: take in unfinished runs as they stand.

        Raises:
            UserError: no run is finished, or one is broken.
        """
        return self.compare(unfinished=unfinished).frame

    def compare(
        self,
        *,
        unfinished: bool = False,
        reference: str | None = None,
        only: str | Sequence[str] | None = None,
        latest: bool = False,
        at: Axis | None = None,
        quality: float | None = None,
        judge_all: bool = False,
    ) -> Comparison:
        """Put the runs side by side; arguments and errors are those of `lmcompare.compare`."""
        return compare(
            self,
            unfinished=unfinished,
            reference=reference,
            only=only,
            latest=latest,
            at=at,
            quality=quality,
            judge_all=judge_all,
        )

    def evaluate(self, *tasks: AnyPath, **options: Any) -> EvaluationResults:
        """Measure the runs; `tasks`, `options` and errors are those of `lmcompare.evaluate`."""
        return evaluate(self, *tasks, **options)


def train(
    study_file: AnyPath | None = None,
    *,
    objective: str | Mapping[str, Any] | None = None,
    data: AnyPath | Sequence[AnyPath] | Mapping[str, Any] | None = None,
    model: str | Mapping[str, Any] | None = None,
    budget: str | Mapping[str, Any] | None = None,
    tokenizer: Mapping[str, Any] | None = None,
    batch: Mapping[str, Any] | None = None,
    optimizer: Mapping[str, Any] | None = None,
    validation: Mapping[str, Any] | None = None,
    runtime: Mapping[str, Any] | None = None,
    phases: Sequence[str | Mapping[str, Any]] | None = None,
    init: AnyPath | None = None,
    defaults: int | None = None,
    seeds: int | Sequence[int] | None = None,
    arm: str | None = None,
    study: str | None = None,
    out: AnyPath = EXPERIMENTS,
    again: bool = False,
    comment: str | None = None,
    tags: str | Sequence[str] = (),
    report: Callable[[Message | Progress], None] = lambda event: None,
    warn: Warn = _warn,
    should_stop: Callable[[], bool] = lambda: False,
) -> Runs:
    """Train a model, or those of a study that are not finished, and return their runs.

    Args:
        study_file: a study file (TOML), its folder, or its name in `out`; then no setting of a run
            is given.
        objective: the name of an objective, or a table of its settings: {"name": "mlm", "rate":
            0.3}. This and all up to `runtime` are the tables of a study file.
        data: a text (a file, a folder, a pattern, ...), several, or a table.
        model: the name of a size, or a table.
        budget: how long to train: "2M tokens", "500 steps", "1e15 flops", "60 seconds".
        tokenizer: a table of settings, as the next four.
        batch: what a step reads.
        optimizer: how weights are updated.
        validation: how often the validation loss is taken.
        runtime: how the run is carried out on this machine.
        phases: in place of an objective several, one after another: ["clm:60%", "mlm"], or tables.
        init: whose weights to start from: a run, one of its checkpoints, or hf:NAME.
        defaults: the version of the defaults; of a new study the latest.
        seeds: one run for each.
        arm: the name in tables; the objective's by default.
        study: the name of the study, whose folder is made in `out`; "default" by default.
        out: the folder of all studies.
        again: start again in a new place, keeping the old run.
        comment: what to say of the runs.
        tags: words to find them by, beside those that they have.
        report: told what happens, step by step.
        warn: told what a user should know of.
        should_stop: asked after each step; what is done is saved.

    Raises:
        UserError: bad settings or text, too little memory, a damaged run, a full disk, a busy run.
        Interrupted: `should_stop` said so.
    """
    file = find_study(None if study_file is None else Path(study_file), out=Path(out))
    given = {
        **{"objective": objective, "data": data_table(data), "model": model, "budget": budget},
        **{"tokenizer": tokenizer, "batch": batch, "optimizer": optimizer, "defaults": defaults},
        **{"validation": validation, "runtime": runtime, "phase": phases, "init": init},
    }
    folder = planning.folder_of(file, name=study, out=Path(out))
    planned = planning.planned_runs(file, given, study=folder, arm=arm, seeds=seeds, warn=warn)
    planning.require_resources(planned, study=folder, again=again, warn=warn)
    return Runs(
        launch.train_each(
            planned,
            study=folder,
            cache=cache_folder(),
            again=again,
            notes=NotesChange.of(add=[tags] if isinstance(tags, str) else tags, comment=comment),
            report=report,
            warn=warn,
            should_stop=should_stop,
        )
    )


def load(*places: AnyPath, warn: Warn = _warn) -> Runs:
    """Find the runs of studies, or single ones.

    Args:
        places: folders of runs, studies, study files, folders of studies, `hf:FOLDER-or-NAME`, or
            names of those in `experiments`, which is looked into where no place is given.
        warn: told of damaged runs within a study, which are left out.

    Raises:
        UserError: a place is not there, or holds no run that can be read.
    """
    found = find_places(map(Path, places)) if places else [EXPERIMENTS]
    return Runs(find_runs(found, warn=warn))


def evaluate(
    runs: AnyRuns,
    *tasks: AnyPath,
    report: Callable[[str, float], None] = lambda what, share: None,
    warn: Warn = _warn,
    **options: Any,
) -> EvaluationResults:
    """Measure what trained models can do; what was measured before is not measured again.

    Args:
        runs: from `train` or `load`, or what `load` takes.
        tasks: "likelihood" (by default), "infilling", "generation", "all" for these three; a
            benchmark or a group of them from `lmcompare tasks`; or a TOML file of your own.
        report: told what is being measured, and which share of it is done.
        warn: told what a user should know of, such as a task that failed while others went on.
        options: what `lmcompare eval --help` lists, with _ for -: limit=10_000, texts=16,
            task_data="folder". Of several values a list. `again=True` is its --force.

    Returns:
        Each result with its run.

    Raises:
        UserError: an option that makes no sense or is of no use to the tasks, a run that cannot be
            evaluated, or nothing could be measured.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if "data" in given:
        given["data"] = parse_data(data_table(given["data"]) or {})
    asked = read_options([str(task) for task in tasks] or ["likelihood"], given)
    errors: list[UserError] = []

    def fail(error: UserError) -> None:
        errors.append(error)
        warn(str(error))

    context = Context(cache=cache_folder(), warn=warn, fail=fail)
    usable = with_models(_runs(runs, warn=warn), warn=warn)
    found = Evaluation.of(usable, asked, context).results(report)
    results = [(run, record) for run, _, record in found]
    if errors and not results:
        raise errors[0]
    return EvaluationResults(results, errors)


def compare(
    runs: AnyRuns,
    *,
    unfinished: bool = False,
    reference: str | None = None,
    only: str | Sequence[str] | None = None,
    latest: bool = False,
    at: Axis | None = None,
    quality: float | None = None,
    judge_all: bool = False,
    warn: Warn = _warn,
) -> Comparison:
    """Put finished runs side by side: what each objective bought, and what was held equal.

    Args:
        runs: from `train` or `load`, or what `load` takes.
        unfinished: take in unfinished runs as they stand; they are marked, and never ranked.
        reference: the label of the arm that the others stand beside in benchmarks; the first by
            default.
        only: take in these results alone, selected as by `lmcompare compare --only`.
        latest: of results of a run that differ in their settings only, take in the last.
        at: in the summary, tell what arms learn where as much "tokens", "targets", "flops" or
            "seconds" were spent; by default of each in turn.
        quality: in the summary, tell what it took to reach this, nats of a hidden token; by default
            the worst that a run ended with.
        judge_all: rank models of Hugging Face too, though nothing of their training is held equal.
        warn: told of runs that cannot be read, which are left out.

    Raises:
        UserError: none is finished, one is broken, or what was named is not there.
    """
    return compare_runs(
        _runs(runs, warn=warn),
        unfinished=unfinished,
        reference=reference,
        only=[only] if isinstance(only, str) else only or None,
        latest=latest,
        at=at,
        quality=quality,
        judge_all=judge_all,
    )


def _runs(given: AnyRuns, *, warn: Warn) -> Sequence[Run]:
    """Return the runs that are meant, each once."""
    if isinstance(given, Run | str | Path):
        given = [given]
    found: list[Run] = []
    for each in given:
        found += [each] if isinstance(each, Run) else load(each, warn=warn)
    return list(dict.fromkeys(found))
