"""How a signal ends training: after the micro-batch, and with whole steps saved."""

import signal
from collections.abc import Callable
from types import FrameType

from lmcompare_cli import signals
from lmcompare_cli.console import talk


class Stop:
    """A request to stop, if a signal has made one.

    While a run trains, the first signal asks politely and the second ends at once. Before its first
    step there is nothing to save, and the first signal ends at once too.
    """

    def __init__(self, *, tell: Callable[[], None] = lambda: None) -> None:
        """Begin without a request.

        Args:
            tell: called when an end is asked for politely.
        """
        self._tell = tell
        self.number: int | None = None  # of the signal that asked
        self.trains = False

    def __call__(self) -> bool:
        """Tell whether to stop; called after each step, and within one after the first."""
        self.trains = True
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """Return the code that shells give to a command that the signal killed."""
        return signals.KILLED + (self.number or signal.SIGINT)

    def __enter__(self) -> "Stop":
        self._before = {number: signal.signal(number, self._hear) for number in signals.HEARD}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None or not self.trains:
            signals.end(number)
        self.number = number
        self._tell()
        talk.print(
            "  stopping and saving the steps that are done; once more to stop at once",
            style="yellow",
        )
