"""How a signal ends a command: what is half done is undone, and then the process dies of it.

A shell that runs a loop stops the loop only if the command died of SIGINT itself; one that exits
with a code, even 130, is followed by the next.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

HEARD = (signal.SIGINT, signal.SIGTERM)
KILLED = 128  # added to a signal's number in the exit code, as shells have it


class Ended(BaseException):
    """The arrival of a signal: as KeyboardInterrupt for SIGINT, for all of them."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.number = number
        self.kept = ""  # what the command that was ended says of its work


def end(number: int, frame: FrameType | None = None) -> NoReturn:
    """Handle a signal: leave the command, which puts everything in order on the way out."""
    raise Ended(number)


def die(number: int) -> NoReturn:
    """End this process by a signal."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    sys.exit(KILLED + number)  # where the signal is blocked
