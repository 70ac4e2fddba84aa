"""What a training run says while it runs: a bar on a terminal, a line now and then in a log."""

from math import isfinite
from time import monotonic
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from lmcompare_cli.console import talk

if TYPE_CHECKING:
    from lmcompare.events import Message
    from lmcompare.events import Progress as Step
    from lmcompare.records import DoneRecord

LOG_EVERY = 10.0  # seconds, where there is no terminal to draw on
SMOOTHING = 0.9
DISTURBED = "other work is running beside it; -s runtime.threads=1 bears that better"


class TrainingDisplay:
    """Called with every event of `training.train`."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("  {task.fields[loss]}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            console=talk,
            transient=True,
            disable=not talk.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0, loss="", speed="")
        self._loss: float | None = None
        self._speed: float | None = None
        self._last_line = monotonic()

    def __enter__(self) -> "TrainingDisplay":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def __call__(self, event: "Message | Step") -> None:
        from lmcompare.events import Message

        if isinstance(event, Message):
            style = "yellow" if event.warning else "dim"
            talk.print(f"  {event.text}", style=style, soft_wrap=True)
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
        self._bar.update(self._task, completed=event.share, loss=loss, speed=speed)
        if line.validation is not None:
            talk.print(
                f"  {event.share:4.0%}  step {line.step:,}  validation {line.validation:.4f}  "
                f"({rate})",
                soft_wrap=True,
            )
            self._last_line = monotonic()
        elif not talk.is_terminal and monotonic() - self._last_line > LOG_EVERY:
            talk.print(f"  {event.share:4.0%}  {loss}  {speed}", soft_wrap=True)
            self._last_line = monotonic()

    def summary(self, done: "DoneRecord") -> str:
        """A line on a run that is complete."""
        validation = (
            "" if done.validation is None else f", validation {done.validation:.4f} nats a target"
        )
        return (
            f"done: {done.spent.steps:,} steps, {done.spent.tokens:,} tokens, "
            f"{done.spent.targets:,} "
            f"targets, {done.spent.flops:.3g} FLOPs, {done.spent.seconds:.1f} s{validation}"
        )


def clock(seconds: float) -> str:
    """A duration as people write it."""
    if not isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else SMOOTHING * before + (1 - SMOOTHING) * now
