"""What training and evaluation say while they run: a bar on a terminal, elsewhere some lines."""

from math import isfinite
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from lmcompare_cli.console import say, talk

if TYPE_CHECKING:
    from lmcompare.runs.records import DoneRecord
    from lmcompare.training.events import Message
    from lmcompare.training.events import Progress as Step

LOG_EVERY = 10.0  # seconds, where there is no terminal to draw on
SMOOTHING = 0.9
DISTURBED = "other work is running, too; -s runtime.threads=1 suffers less from that"


class _Display:
    """A bar with a text on either side of it, or without a terminal a line now and then."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("  {task.fields[before]}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[after]}", markup=False),
            console=talk,
            transient=True,
            disable=not talk.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0, before="", after="")
        self._last_line = monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()

    def _line(self, text: str) -> None:
        """Say something that stays."""
        say(text)
        self._last_line = monotonic()

    def _update(self, share: float, before: str, after: str) -> None:
        self._bar.update(self._task, completed=share, before=before, after=after)
        if not talk.is_terminal and monotonic() - self._last_line > LOG_EVERY:
            self._line(f"  {share:4.0%}  {before}  {after}")


class EvaluationDisplay(_Display):
    """The display of what evaluation reports, a run and a task at a time.

    Args:
        num_steps: runs times tasks.
    """

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self._num_steps, self._step = num_steps, 0
        self._what, self._since = "", monotonic()
        self._num_done = 0

    def begin(self, run: Path, task: str) -> None:
        """Say which run is asked what."""
        self._step += 1
        self._run, self._what, self._since = run.name, "", monotonic()
        if talk.is_terminal:
            self._bar.reset(self._task, before=f"{run.name} {task}", after="")
        else:
            self._line(f"[{self._step}/{self._num_steps}] {run} {task}")

    def __call__(self, what: str, share: float) -> None:
        """Show the share that is done of a part of the task."""
        now = monotonic()
        if what != self._what:
            self._since = self._since if not self._what else now
            self._what = what
        self._num_done += share >= 1
        passed = now - self._since
        left = f"{clock(passed * (1 - share) / share)} left" if 0 < share < 1 else ""
        self._update(share, what if not talk.is_terminal else f"{self._run} {what}", left)

    def kept(self, *, force: bool) -> str:
        """Return what to say of an interruption."""
        command = f"the same command{' without --force' if force else ''}"
        num = "1 result is" if self._num_done == 1 else f"{self._num_done} results are"
        where = f"interrupted in step {self._step} of {self._num_steps}"
        return f"{where}: {num} kept, {command} continues"


class TrainingDisplay(_Display):
    """The display of every event of `trainer.train`."""

    def __init__(self) -> None:
        super().__init__()
        self._loss: float | None = None
        self._speed: float | None = None

    def __call__(self, event: "Message | Step") -> None:
        from lmcompare.training.events import Message

        if isinstance(event, Message):
            style = "yellow" if event.warning else "dim"
            say(f"  {event.text}", style)
            return
        line = event.line
        self._loss = _smooth(self._loss, line.loss)
        self._speed = _smooth(self._speed, event.tokens_per_second)
        left = event.seconds_left * event.tokens_per_second / self._speed
        loss = f"step {line.step:,}  loss {self._loss:.3f}"
        rate = f"{self._speed:,.0f} tokens/s, {event.utilisation:.0%} of matmul rate"
        if event.disturbed:
            rate += f": {DISTURBED}"
        speed = f"{rate}, {clock(left)} left"
        if line.validation is not None:
            self._line(
                f"  {event.share:4.0%}  step {line.step:,}  validation {line.validation:.4f}  "
                f"({rate})"
            )
        self._update(event.share, loss, speed)

    def summary(self, done: "DoneRecord") -> str:
        """Return a line on a run that is complete."""
        validation = (
            "" if done.validation is None else f", validation {done.validation:.4f} nats a target"
        )
        return (
            f"done: {done.spent.steps:,} steps, {done.spent.tokens:,} tokens, "
            f"{done.spent.targets:,} "
            f"targets, {done.spent.flops:.3g} FLOPs, {done.spent.seconds:.1f} s{validation}"
        )


def clock(seconds: float) -> str:
    """Return a duration as people write it."""
    if not isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else SMOOTHING * before + (1 - SMOOTHING) * now
