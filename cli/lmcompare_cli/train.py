"""`lmcompare train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmcompare_cli import options
from lmcompare_cli.console import cache_folder, output, talk
from lmcompare_cli.stopping import Stop

if TYPE_CHECKING:
    from lmcompare.studies import Planned


def train(
    study: options.Study = None,
    objective: options.Objective = None,
    data: options.Data = None,
    model: options.Size = None,
    budget: options.BudgetOption = None,
    seed: options.Seed = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    vocab_size: options.VocabSize = None,
    settings: options.Set = None,
    name: Annotated[
        str, typer.Option("--study", help="Study that a run given by options belongs to.")
    ] = "default",
    arm: Annotated[
        str | None,
        typer.Option(help="Name in tables; the objective's by default.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Start again in a new place, keeping the old run.")
    ] = False,
    parallel: Annotated[
        int,
        typer.Option(
            min=1, help="Runs at a time, each in a process of its own; for small models on a GPU."
        ),
    ] = 1,
    out: options.Out = options.EXPERIMENTS,
) -> None:
    """Train a model, or all models of a study; what is finished is skipped, what is not goes on.

    The folder of each run is printed to stdout.
    """
    from lmcompare import runs, training
    from lmcompare.errors import UserError
    from lmcompare.events import Interrupted
    from lmcompare.studies import require_name
    from lmcompare_cli.progress import TrainingDisplay

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
            "tokenizer.vocab_size": vocab_size,
        },
        seeds=seed,
        settings=settings,
    )
    folder = _folder_of(study, out) if study is not None else out / require_name(name)
    if parallel > 1:
        _side_by_side(planned, folder, processes=parallel, again=force)
        return
    with Stop() as stop:
        for number, each in enumerate(planned, start=1):
            run = runs.place_of(each.config, arm=each.arm, study=folder, again=force)
            talk.print(f"[{number}/{len(planned)}] {run.path}", style="bold", soft_wrap=True)
            if run.done() is not None:
                talk.print("  finished before; --force starts it again in a new place")
            else:
                with TrainingDisplay() as display:
                    try:
                        done = training.train(
                            each.config,
                            run,
                            arm=each.arm,
                            cache=cache_folder(),
                            report=display,
                            should_stop=stop,
                        )
                    except Interrupted as interrupted:
                        display.close()
                        command = f"the same command{' without --force' if force else ''}"
                        talk.print(f"  {interrupted}; {command} goes on", style="yellow")
                        raise typer.Exit(130) from None
                    except UserError:
                        display.close()
                        raise
                talk.print(f"  {display.summary(done)}", soft_wrap=True)
            output.print(str(run.path), soft_wrap=True)


def _side_by_side(planned: "list[Planned]", folder: Path, *, processes: int, again: bool) -> None:
    """Train all at once, so many at a time; a run that fails takes no other with it."""
    from lmcompare import runs
    from lmcompare.errors import UserError
    from lmcompare_cli.parallel import train_side_by_side

    places = [
        (each, runs.place_of(each.config, arm=each.arm, study=folder, again=again))
        for each in planned
    ]
    for _, run in places:
        if run.done() is not None:
            talk.print(f"{run.path}: finished before", soft_wrap=True)
            output.print(str(run.path), soft_wrap=True)
    open_ones = [
        (each.arm, each.config.model_dump_json(), run.path)
        for each, run in places
        if run.done() is None
    ]
    errors, interrupted = [], False
    for ended in train_side_by_side(open_ones, processes=processes, cache=cache_folder()):
        talk.print(f"{ended.path}: {ended.error or ended.summary}", soft_wrap=True, markup=False)
        interrupted |= ended.interrupted
        if ended.error:
            errors.append(ended)
        elif not ended.interrupted:
            output.print(str(ended.path), soft_wrap=True)
    if interrupted:
        raise typer.Exit(130)
    if errors:
        raise UserError(
            f"{len(errors)} of {len(planned)} runs failed, the first: {errors[0].error}"
        )


def _folder_of(study: Path, out: Path) -> Path:
    """A study file lives in its study's folder, or gives it its name."""
    from lmcompare.runs import STUDY_FILE

    return study.parent if study.name == STUDY_FILE else out / study.stem
