"""`lmcompare train`."""

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from lmcompare_cli import options, signals
from lmcompare_cli.console import cache_folder, output, talk

if TYPE_CHECKING:
    from lmcompare.runs import Run
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
    out: options.Out = options.EXPERIMENTS,
) -> None:
    """Train a model, or all models of a study; what is finished is skipped, what is not goes on.

    The folder of each run is printed to stdout. What another process trains is passed over, so that
    two processes share the runs of a study.
    """
    from lmcompare.files import name_of
    from lmcompare.runs import Busy
    from lmcompare.studies import require_name

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
    folder = _folder_of(study, out) if study is not None else out / name_of(require_name(name))
    busy: list[str] = []
    with _Stop() as stop:
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


def _train(each: "Planned", *, study: Path, title: str, force: bool, stop: "_Stop") -> "Run":
    """Read the text of a run, find where it lives, and train it if it is not finished."""
    from lmcompare import run_text, training
    from lmcompare.data import TextUnavailableError
    from lmcompare.errors import UserError
    from lmcompare.events import Interrupted
    from lmcompare_cli.progress import TrainingDisplay

    try:
        text = training.read_text(each.config, cache=cache_folder(), report=_say, warn=_warn)
    except TextUnavailableError as error:
        left = run_text.finished_without_text(each.config, arm=each.arm, study=study)
        if left is None or force:
            raise
        talk.print(f"{title} {left.path}", style="bold", soft_wrap=True)
        _warn(f"finished before; whether its text is still the same was not checked: {error}")
        return left
    run = run_text.place_of(each.config, text, arm=each.arm, study=study, again=force)
    talk.print(f"{title} {run.path}", style="bold", soft_wrap=True)
    before = run.done()
    other = run_text.of_another_text(each.config, text, arm=each.arm, study=study)
    if other is not None and not run.record_file.exists():
        _warn(other)
    with TrainingDisplay() as display:
        try:
            done = training.train(
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


def _say(text: str) -> None:
    talk.print(f"  {text}", style="dim", soft_wrap=True)


def _warn(text: str) -> None:
    talk.print(f"  {text}", style="yellow", soft_wrap=True)


def _folder_of(study: Path, out: Path) -> Path:
    """A study file lives in its study's folder, or gives it its name."""
    from lmcompare.files import name_of
    from lmcompare.runs import STUDY_FILE

    return study.parent if study.name == STUDY_FILE else out / name_of(study.stem)


class _Stop:
    """Whether an end was asked for.

    While a run trains, the first signal asks politely and the second ends at once. Before its first
    step there is nothing to save, and the first signal ends at once too.
    """

    def __init__(self) -> None:
        self.number: int | None = None  # of the signal that asked
        self.trains = False

    def __call__(self) -> bool:
        """Return whether to stop; asked after each step."""
        self.trains = True
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """The code that shells give to a command that the signal killed."""
        return signals.KILLED + (self.number or signal.SIGINT)

    def __enter__(self) -> "_Stop":
        self._before = {number: signal.signal(number, self._hear) for number in signals.HEARD}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None or not self.trains:
            signals.end(number)
        self.number = number
        talk.print(
            "  stopping after this step and saving it; once more to stop at once", style="yellow"
        )
