"""`lmcompare train`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lmcompare_cli import options
from lmcompare_cli.console import cache_folder, output, talk
from lmcompare_cli.places import find_study
from lmcompare_cli.stopping import Stop

if TYPE_CHECKING:
    from lmcompare.config.study import Planned
    from lmcompare.runs.run import Run


def train(
    study: options.Study = None,
    objective: options.Objective = None,
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
    parallel: options.Parallel = 1,
    out: options.Out = options.EXPERIMENTS,
) -> None:
    """Train a model, or all models of a study; finished runs are skipped, others continue.

    The folder of each run is printed to stdout. What another process trains is passed over, so that
    two processes share the runs of a study.
    """
    from lmcompare.config.study import require_name
    from lmcompare.errors import UserError
    from lmcompare.files import name_of
    from lmcompare.runs.run import Busy
    from lmcompare.training import memory

    study = find_study(study, out=out)
    if study is not None and name is not None:
        raise UserError(
            f"the study {study} has a name, that of its folder or file, and --study {name} gives "
            "another: leave that out"
        )
    planned = options.planned_runs(
        study,
        arm=arm,
        given={
            "objective": objective,
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
    )
    folder = (
        _folder_of(study, out)
        if study is not None
        else out / name_of(require_name(name or "default"))
    )
    planned = [_as_begun(each, folder) for each in planned]
    left = [each for each in planned if force or not _seems_finished(each, folder)]
    if left:
        memory.require([(each.arm, each.config) for each in left], at_once=parallel, warn=_warn)
    if parallel > 1:
        _side_by_side(planned, folder, processes=parallel, again=force)
        return
    busy: list[str] = []
    with Stop() as stop:
        for number, each in enumerate(planned, start=1):
            stop.trains = False
            title = f"[{number}/{len(planned)}]"
            try:
                run = _train(each, study=folder, title=title, force=force, stop=stop)
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


def _as_begun(each: "Planned", study: Path) -> "Planned":
    """Return the run under the defaults of its study, and say so where these were others."""
    from lmcompare.runs import training_text

    config = training_text.as_begun(each.config, arm=each.arm, study=study)
    if config.defaults != each.config.defaults:
        _say(f"{each.arm}: {study} was begun with the defaults of version {config.defaults}")
    return replace(each, config=config)


def _seems_finished(each: "Planned", study: Path) -> bool:
    """Tell whether a run was finished before, as far as is known before its text is read."""
    from lmcompare.runs import training_text

    return training_text.finished_without_text(each.config, arm=each.arm, study=study) is not None


def _train(each: "Planned", *, study: Path, title: str, force: bool, stop: "Stop") -> "Run":
    """Read the text of a run, find where it lives, and train it if it is not finished."""
    from lmcompare.data import TextUnavailableError
    from lmcompare.errors import UserError
    from lmcompare.runs import training_text
    from lmcompare.training import trainer
    from lmcompare.training.events import Interrupted
    from lmcompare_cli.rendering.progress import TrainingDisplay

    try:
        text = trainer.read_text(each.config, cache=cache_folder(), report=_say, warn=_warn)
    except TextUnavailableError as error:
        left = training_text.finished_without_text(each.config, arm=each.arm, study=study)
        if left is None or force:
            raise
        talk.print(f"{title} {left.path}", style="bold", soft_wrap=True)
        _warn(f"finished before; whether its text is still the same was not checked: {error}")
        return left
    run = training_text.place_of(each.config, text, arm=each.arm, study=study, again=force)
    talk.print(f"{title} {run.path}", style="bold", soft_wrap=True)
    before = run.done()
    other = training_text.of_another_text(each.config, text, arm=each.arm, study=study)
    if other is not None and not run.record_file.exists():
        _warn(other)
    with TrainingDisplay() as display:
        try:
            done = trainer.train(
                each.config, run, text, arm=each.arm, report=display, should_stop=stop
            )
        except Interrupted as interrupted:
            display.close()
            command = f"the same command{' without --force' if force else ''}"
            talk.print(f"  {interrupted}; {command} goes on", style="yellow")
            raise typer.Exit(stop.exit_code) from None
        except UserError:
            display.close()
            raise
    if before is None:
        talk.print(f"  {display.summary(done)}", soft_wrap=True)
    else:
        talk.print("  finished before; --force starts it again in a new place")
    return run


def _side_by_side(planned: "list[Planned]", folder: Path, *, processes: int, again: bool) -> None:
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
    jobs = [(each.arm, json.dumps(each.config.given), folder, again) for each in planned]
    failed, interrupted = [], 0
    for ended in train_side_by_side(jobs, processes=processes, cache=cache_folder()):
        talk.print(f"{ended.name}: {ended.error or ended.summary}", soft_wrap=True)
        interrupted = interrupted or ended.exit_code
        if ended.error:
            failed.append(ended)
        elif not ended.exit_code:
            output.print(ended.name, soft_wrap=True)
    if interrupted:
        raise typer.Exit(interrupted)
    if failed:
        raise UserError(f"{len(failed)} of {len(jobs)} runs failed; the first: {failed[0].error}")


def _say(text: str) -> None:
    talk.print(f"  {text}", style="dim", soft_wrap=True)


def _warn(text: str) -> None:
    talk.print(f"  {text}", style="yellow", soft_wrap=True)


def _folder_of(study: Path, out: Path) -> Path:
    """A study file lives in its study's folder, or gives it its name."""
    from lmcompare.files import name_of
    from lmcompare.runs.run import STUDY_FILE

    return study.parent if study.name == STUDY_FILE else out / name_of(study.stem)
