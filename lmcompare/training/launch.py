"""From a planned run to its text, its folder and its training: what comes before the first step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcompare.config.study import Planned
from lmcompare.data import Prepared, TextUnavailableError
from lmcompare.errors import UserError
from lmcompare.runs import training_text
from lmcompare.runs.notes import NO_CHANGE, NotesChange
from lmcompare.runs.records import DoneRecord
from lmcompare.runs.run import Run
from lmcompare.runs.run_lock import Busy
from lmcompare.training import trainer
from lmcompare.training.events import Message, Progress, Report
from lmcompare.training.start import GivenWeights, named_start, start_of_run


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
    start: GivenWeights | None = None
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
    what = "its text"
    try:
        text = trainer.read_text(config, cache=cache, report=report, warn=warn)
        what = "the model that it started from"
        start = start_of(planned, text, study=study, cache=cache)
    except Busy:
        raise
    except UserError as error:
        run = training_text.finished_without_text(config, arm=arm, study=study)
        gone = isinstance(error, TextUnavailableError) or what != "its text"
        if run is None or again or not gone:
            raise
        return Launch(
            planned=planned,
            run=run,
            finished=run.done(),
            caution=f"finished before; whether {what} is still the same was not checked: {error}",
            text=None,
            notes=notes,
        )
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


def start_of(planned: Planned, text: Prepared, *, study: Path, cache: Path) -> GivenWeights | None:
    """Return whose weights a run starts from; None for new ones.

    Args:
        planned: the run.
        text: that it is trained on.
        study: the folder of its study.
        cache: the folder of prepared corpora.

    Raises:
        Busy: another process trains the model that has them.
        UserError: they are not there, not those of a finished run, damaged, or do not fit.
    """
    if planned.start is None:
        return named_start(planned.config, text, out=study.parent)
    run = prepare(planned.start, study=study, cache=cache).run
    if (holder := run.holder()) is not None:
        raise Busy(run.path, holder)
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
        try:
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
            ready.train(report=hear, should_stop=should_stop)
        except Busy as other:
            if len(planned) == 1:
                raise
            warn(f"passed over: {other}")
            continue
        runs.append(ready.run)
    return runs
