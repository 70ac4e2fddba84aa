"""Say where training and evaluation are: by a bar on a terminal, elsewhere by some lines.

Where there is no terminal they are never silent for long: if nothing was reported for a while, a
line says what is being done and for how long.
"""

from math import isfinite
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from lmcompare_cli.console import say, talk

if TYPE_CHECKING:
    from lmcompare.runs.records import DoneRecord, ResultRecord
    from lmcompare.training.events import Message
    from lmcompare.training.events import Progress as Step

LOG_EVERY = 10.0  # seconds, where there is no terminal to draw on
SMOOTHING = 0.9
SPARKS = "▁▂▃▄▅▆▇█"
NUM_SPARKS = 12
DISTURBED = "other work is running, too; -s runtime.threads=1 suffers less from that"


class _Display:
    """A bar with a text on either side of it, or without a terminal a line now and then."""

    def __init__(self, *, bar_width: int = 24) -> None:
        self._bar = Progress(
            TextColumn("  {task.fields[before]}", markup=False),
            BarColumn(bar_width=bar_width),
            TaskProgressColumn(),
            TextColumn("{task.fields[after]}", markup=False),
            console=talk,
            transient=True,
            disable=not talk.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0, before="", after="")
        self._last_line = self._begun = monotonic()
        self._doing = "starting"
        self._closed = Event()
        self._reminder = Thread(target=self._remind_now_and_then, daemon=True)

    def __enter__(self) -> Self:
        self._bar.start()
        if not talk.is_terminal:
            self._reminder.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar, and say no more."""
        self._closed.set()
        self._bar.stop()

    def _line(self, text: str) -> None:
        """Say something that stays."""
        say(text)
        self._last_line = monotonic()

    def _remind_now_and_then(self) -> None:
        while not self._closed.wait(LOG_EVERY):
            self._remind()

    def _remind(self) -> None:
        """Say that something is being done, where nothing was said for a while."""
        if monotonic() - self._last_line > LOG_EVERY:
            self._line(f"  {self._doing}, {clock(monotonic() - self._begun)} so far")

    def _update(self, share: float, before: str, after: str) -> None:
        self._doing = before
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
        self._started = monotonic()
        self._num_done = 0

    def begin(self, run: Path, task: str) -> None:
        """Say which run is asked what."""
        now, num_before = monotonic(), self._step
        self._step += 1
        self._run, self._what, self._since = run.name, "", now
        self._doing, self._begun = task, now
        if talk.is_terminal:
            self._bar.reset(self._task, before=f"{run.name} {task}", after="")
            return
        left, passed = self._num_steps - num_before, now - self._started
        about = f", about {clock(passed / num_before * left)} left of all" if num_before else ""
        self._line(f"[{self._step}/{self._num_steps}] {run} {task}{about}")

    def result(self, run: Path, record: "ResultRecord") -> None:
        """Say what was measured of a run."""
        if record.headline is None:
            return
        value, unit = record.headline
        how = ", ".join(str(each) for each in record.named_by.values() if each is not None)
        asked = f"{record.about} ({how})" if how else record.about
        name = f"{run.name}  " if talk.is_terminal else ""  # elsewhere it stands above
        self._line(f"  {name}{asked}: {value:.4g} {unit}")

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
        super().__init__(bar_width=12)
        self._losses = Sparkline()
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
        self._losses.add(self._loss)
        loss = f"step {line.step:,}  loss {self._loss:.3f}"
        rate = f"{self._speed:,.0f} tokens/s, {event.utilisation:.0%} of matmul rate"
        if event.disturbed:
            rate += f": {DISTURBED}"
        speed = f"{rate}, {clock(left)} left"
        if line.validation is not None:
            common = "" if line.common is None else f"  common {line.common:.4f}"
            self._line(
                f"  {event.share:4.0%}  step {line.step:,}  validation {line.validation:.4f}"
                f"{common}  ({rate})"
            )
        if talk.is_terminal and not talk.options.ascii_only:
            loss += f" {self._losses}"
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


class Sparkline:
    """How numbers came down since the first one, in a few characters."""

    def __init__(self) -> None:
        self._numbers: list[float] = []
        self._each, self._waiting = 1, 0  # numbers that one of those that are kept stands for

    def add(self, number: float) -> None:
        """Take in the next number; of many, one of so many is kept."""
        self._waiting += 1
        if self._waiting < self._each:
            return
        self._waiting = 0
        self._numbers.append(number)
        if len(self._numbers) > 2 * NUM_SPARKS:
            self._numbers = self._numbers[1::2]
            self._each *= 2

    def __str__(self) -> str:
        """Return a character for each stretch, the lowest for the least."""
        if not self._numbers:
            return ""
        num = min(NUM_SPARKS, len(self._numbers))
        ends = (len(self._numbers) * (number + 1) // num - 1 for number in range(num))
        shown = [self._numbers[end] for end in ends]
        low, high = min(shown), max(shown)
        scale = (len(SPARKS) - 1) / (high - low) if high > low else 0.0
        return "".join(SPARKS[round((each - low) * scale)] for each in shown)


def clock(seconds: float) -> str:
    """Return a duration as people write it."""
    if not isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else SMOOTHING * before + (1 - SMOOTHING) * now
