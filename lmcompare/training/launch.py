"""From a planned run to its text, its folder and its training: what comes before the first step."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmcompare.config.study import Planned, require_name
from lmcompare.data import Prepared, TextUnavailableError
from lmcompare.errors import UserError
from lmcompare.files import name_of
from lmcompare.runs import training_text
from lmcompare.runs.notes import NO_CHANGE, NotesChange
from lmcompare.runs.places import EXPERIMENTS, study_folder
from lmcompare.runs.records import DoneRecord
from lmcompare.runs.run import Run
from lmcompare.runs.run_lock import Busy
from lmcompare.training import memory, trainer
from lmcompare.training.boards.feeding import require_boards
from lmcompare.training.events import Message, Progress, Report
from lmcompare.training.start import Start, named_start, start_of_run

DEFAULT_STUDY = "default"


def folder_of(study: Path | None, *, name: str | None, out: Path = EXPERIMENTS) -> Path:
    """Return the folder that runs are trained in.

    Args:
        study: a study file, which gives the study its name.
        name: the name of the study of runs that are in no study file.
        out: the folder of all studies.

    Raises:
        UserError: both are given, or the name is not fit for a folder.
    """
    if study is None:
        return out / name_of(require_name(name or DEFAULT_STUDY))
    if name is not None:
        raise UserError(
            f"the study {study} has a name, that of its folder or file, and '{name}' is another: "
            "leave that out"
        )
    return study_folder(study, out=out)


def as_begun(
    planned: Iterable[Planned], *, study: Path, report: Callable[[str], None]
) -> list[Planned]:
    """Return runs under the defaults that their study was begun with.

    Args:
        planned: the runs.
        study: the folder of their study.
        report: told which runs have other defaults than new ones for it.
    """
    found, defaults = [], training_text.defaults_of(study)
    for each in planned:
        changed = _as_begun(each, study, defaults)
        version = changed.config.defaults
        if version != each.config.defaults:
            report(f"{each.arm}: {study} was begun with the defaults of version {version}")
        found.append(changed)
    return found


def _as_begun(planned: Planned, study: Path, defaults: int | None) -> Planned:
    """Do the same with one run, and with those that it starts from."""
    config = training_text.as_begun(planned.config, arm=planned.arm, study=study, defaults=defaults)
    start = None if planned.start is None else _as_begun(planned.start, study, defaults)
    return replace(planned, config=config, start=start)


def require_resources(
    planned: Iterable[Planned],
    *,
    study: Path,
    again: bool,
    at_once: int = 1,
    warn: Callable[[str], None],
) -> None:
    """Make sure that memory and boards are there for the runs that are not finished yet.

    Args:
        planned: the runs.
        study: the folder of their study.
        again: whether finished runs start again.
        at_once: how many of them are trained side by side.
        warn: told where memory is nearly short.

    Raises:
        UserError: memory is far too small, or a board cannot be written to.
    """
    left = [
        (each.arm, each.config)
        for each in planned
        if again
        or training_text.finished_without_text(each.config, arm=each.arm, study=study) is None
    ]
    if left:
        memory.require(left, at_once=at_once, warn=warn)
        require_boards({name for _, config in left for name in config.runtime.boards})


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A run whose text was read and whose place was found; nothing of it is written yet.

    Attributes:
        planned: the run.
        run: where it lives.
        finished: how it ended, if it was finished before.
        caution: what is to be known of it first; empty where there is nothing.
        text: what it reads; None where it is finished and its text is gone.
        start: whose weights it starts from; None for new ones.
        notes: what is to be said of it.
    """

    planned: Planned
    run: Run
    finished: DoneRecord | None
    caution: str
    text: Prepared | None
    start: Start | None = None
    notes: NotesChange = NO_CHANGE

    def train(
        self, *, report: Report, should_stop: Callable[[], bool] = lambda: False
    ) -> DoneRecord:
        """Train the run to its end as `trainer.train` does, which see; a finished one is left."""
        if self.text is None:
            assert self.finished is not None
            self.notes.apply(self.run.notes_file)
            return self.finished
        return trainer.train(
            self.planned.config,
            self.run,
            self.text,
            arm=self.planned.arm,
            report=report,
            should_stop=should_stop,
            notes=self.notes,
            start=self.start,
        )


def prepare(
    planned: Planned,
    *,
    study: Path,
    cache: Path,
    again: bool = False,
    notes: NotesChange = NO_CHANGE,
    report: Callable[[str], None] = lambda text: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Launch:
    """Read the text of a run, and find where it lives.

    Args:
        planned: the run.
        study: the folder of its study.
        cache: the folder of prepared corpora.
        again: start again in a new place; nothing that was written is ever overwritten.
        notes: what is to be said of it.
        report: told what reading does.
        warn: told what a user should know of the text.

    Raises:
        UserError: the text cannot be read, or does not suit the run; as `start_of`.
    """
    config, arm = planned.config, planned.arm
    try:
        text = trainer.read_text(config, cache=cache, report=report, warn=warn)
    except TextUnavailableError as error:
        run = training_text.finished_without_text(config, arm=arm, study=study)
        if run is None or again:
            raise
        return Launch(
            planned=planned,
            run=run,
            finished=run.done(),
            caution=f"finished before; whether its text is still the same was not checked: {error}",
            text=None,
            notes=notes,
        )
    start = start_of(planned, text, study=study, cache=cache)
    known_by = None if start is None else start.hash
    run = training_text.place_of(config, text, arm=arm, study=study, again=again, start=known_by)
    other = training_text.of_another_text(config, text, arm=arm, study=study, start=known_by)
    return Launch(
        planned=planned,
        run=run,
        finished=run.done(),
        caution="" if other is None or run.record_file.exists() else other,
        text=text,
        start=start,
        notes=notes,
    )


def start_of(planned: Planned, text: Prepared, *, study: Path, cache: Path) -> Start | None:
    """Return whose weights a run starts from; None for new ones.

    Args:
        planned: the run.
        text: that it is trained on.
        study: the folder of its study.
        cache: the folder of prepared corpora.

    Raises:
        UserError: they are not there, not those of a finished run, damaged, or do not fit.
    """
    if planned.start is None:
        return named_start(planned.config, text, out=study.parent)
    run = prepare(planned.start, study=study, cache=cache).run
    if run.done() is None:
        raise UserError(
            f"{planned.arm} starts from {planned.start.arm}, and {run.path} is not finished: train "
            "that first"
        )
    return start_of_run(run, planned.config, text)


def train_each(
    planned: Sequence[Planned],
    *,
    study: Path,
    cache: Path,
    again: bool,
    notes: NotesChange,
    report: Report,
    warn: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> list[Run]:
    """Train runs one after another, and return those that no other process trains.

    Args:
        planned: the runs.
        study: the folder of their study.
        cache: the folder of prepared corpora.
        again: start again in new places, keeping the old runs.
        notes: what is to be said of each.
        report: told what happens, step by step.
        warn: told what a user should know of.
        should_stop: asked after each step; what is done is saved.

    Raises:
        UserError: bad text, a damaged run, a full disk, or another process trains the only run.
        Interrupted: `should_stop` said so.
    """

    def hear(event: Message | Progress) -> None:
        if isinstance(event, Message) and event.warning:
            warn(event.text)
        else:
            report(event)

    runs: list[Run] = []
    for each in planned:
        ready = prepare(
            each,
            study=study,
            cache=cache,
            again=again,
            notes=notes,
            report=lambda text: report(Message(text=text)),
            warn=warn,
        )
        if ready.caution:
            warn(ready.caution)
        try:
            ready.train(report=hear, should_stop=should_stop)
        except Busy as other:
            if len(planned) == 1:
                raise
            warn(f"passed over: {other}")
            continue
        runs.append(ready.run)
    return runs
