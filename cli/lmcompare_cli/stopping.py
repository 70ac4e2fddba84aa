"""How a signal ends training: after the step, and saved."""

import signal
from types import FrameType

from lmcompare_cli.console import talk


class Stop:
    """Whether an end was asked for; the first time politely, the second time at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> "Stop":
        self._before = {
            number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        talk.print(
            "  stopping after this step and saving it; once more to stop at once", style="yellow"
        )
