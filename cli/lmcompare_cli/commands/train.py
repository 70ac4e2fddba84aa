"""`lmcompare train`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lmcompare.paths import cache_folder
from lmcompare.runs.places import EXPERIMENTS, find_study
from lmcompare_cli import options
from lmcompare_cli.console import output, say, talk
from lmcompare_cli.stopping import Stop

if TYPE_CHECKING:
    from lmcompare.config.study import Planned
    from lmcompare.runs.notes import NotesChange
    from lmcompare.runs.run import Run


def train(
    study: options.Study = None,
    objective: options.Objective = None,
    phase: options.Phases = None,
    init: options.Init = None,
    data: options.Data = None,
    model: options.Size = None,
    budget: options.BudgetOption = None,
    seed: options.Seed = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    field: options.Field = None,
    vocab_size: options.VocabSize = None,
    settings: options.Set = None,
    name: options.StudyName = None,
    arm: options.Arm = None,
    force: options.StartAgain = False,
    comment: options.Comment = None,
    tag: options.Tags = None,
    parallel: options.Parallel = 1,
    out: options.Out = EXPERIMENTS,
) -> None:
    """Train a model, or all models of a study; finished runs are skipped, others continue.

    The folder of each run is printed to stdout. What another process trains is passed over, so that
    two processes share the runs of a study.
    """
    from lmcompare.runs.notes import NotesChange
    from lmcompare.runs.run_lock import Busy
    from lmcompare.training import planning

    notes = NotesChange.of(add=tag or (), comment=comment)
    study = find_study(study, out=out)
    folder = planning.folder_of(study, name=name, out=out)
    planned = options.planned_runs(
        study,
        arm=arm,
        given={
            "objective": objective,
            "init": init,
            "data.source": data,
            "model": model,
            "budget": budget,
            "data.document": document,
            "data.encoding_errors": encoding_errors,
            "data.field": field,
            "tokenizer.vocab_size": vocab_size,
        },
        seeds=seed,
        settings=settings,
        phases=phase,
    )
    planned = planning.as_begun(planned, study=folder, report=_say)
    planning.require_resources(planned, study=folder, again=force, at_once=parallel, warn=_warn)
    if parallel > 1:
        _side_by_side(planned, folder, processes=parallel, again=force, notes=notes)
        return
    busy: list[str] = []
    with Stop() as stop:
        for number, each in enumerate(planned, start=1):
            stop.trains = False
            title = f"[{number}/{len(planned)}]"
            try:
                run = _train(each, study=folder, title=title, force=force, notes=notes, stop=stop)
            except Busy as other:
                if len(planned) == 1:
                    raise
                _warn(f"passed over: {other}")
                busy.append(str(other.path))
                continue
            output.print(str(run.path), soft_wrap=True)
    if busy:
        talk.print(
            f"{len(planned) - len(busy)} of {len(planned)} runs are finished; in the hands of "
            f"other processes: {', '.join(busy)}",
            style="yellow",
            soft_wrap=True,
        )


def _train(
    each: "Planned",
    *,
    study: Path,
    title: str,
    force: bool,
    notes: "NotesChange",
    stop: "Stop",
) -> "Run":
    """Read the text of a run, find where it lives, and train it if it is not finished."""
    from lmcompare.errors import UserError
    from lmcompare.training import launch
    from lmcompare.training.events import Interrupted
    from lmcompare_cli.rendering.progress import TrainingDisplay

    ready = launch.prepare(
        each,
        study=study,
        cache=cache_folder(),
        again=force,
        notes=notes,
        report=_say,
        warn=_warn,
    )
    talk.print(f"{title} {ready.run.path}", style="bold", soft_wrap=True)
    if ready.caution:
        _warn(ready.caution)
    with TrainingDisplay() as display:
        try:
            done = ready.train(report=display, should_stop=stop)
        except Interrupted as interrupted:
            display.close()
            command = f"the same command{' without --force' if force else ''}"
            talk.print(f"  {interrupted}; {command} goes on", style="yellow")
            raise typer.Exit(stop.exit_code) from None
        except UserError:
            display.close()
            raise
    if ready.finished is None:
        talk.print(f"  {display.summary(done)}", soft_wrap=True)
    elif ready.text is not None:
        talk.print("  finished before; --force starts it again in a new place")
    return ready.run


def _side_by_side(
    planned: "list[Planned]", folder: Path, *, processes: int, again: bool, notes: "NotesChange"
) -> None:
    """Train all runs, as many at a time as `processes`; one that fails stops no other."""
    from lmcompare.data import is_stream
    from lmcompare.errors import UserError
    from lmcompare.runs.training_text import sources
    from lmcompare_cli.parallel import train_side_by_side

    if streams := {name for each in planned for name in sources(each.config) if is_stream(name)}:
        raise UserError(
            f"runs side by side read the text each for itself, and {', '.join(sorted(streams))} "
            "can be read only once: name a file"
        )
    failed = []
    for depth in sorted({each.depth for each in planned}):  # what others start from comes first
        jobs = [(each, folder, again, notes) for each in planned if each.depth == depth]
        interrupted = 0
        for ended in train_side_by_side(jobs, processes=processes, cache=cache_folder()):
            say(f"{ended.name}: {ended.error or ended.summary}")
            interrupted = interrupted or ended.exit_code
            if ended.error:
                failed.append(ended)
            elif not ended.exit_code:
                output.print(ended.name, soft_wrap=True)
        if interrupted:
            raise typer.Exit(interrupted)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(planned)} runs failed; the first: {failed[0].error}"
        )


def _say(text: str) -> None:
    say(f"  {text}", "dim")


def _warn(text: str) -> None:
    say(f"  {text}", "yellow")
