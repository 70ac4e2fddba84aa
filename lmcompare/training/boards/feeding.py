"""All boards of a run: begun before its first step, and fed so that none can stop or slow it."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

from lmcompare.errors import UserError
from lmcompare.runs.records import MetricsLine
from lmcompare.runs.run import Run
from lmcompare.training.boards.base import About, Board
from lmcompare.training.boards.tensorboard import TensorBoard
from lmcompare.training.boards.trackio import Trackio
from lmcompare.training.boards.wandb import WeightsAndBiases

BOARDS: dict[str, type[Board]] = {
    board.name: board for board in (TensorBoard, WeightsAndBiases, Trackio)
}
FURTHEST_BEHIND = 100_000  # lines that wait for a board that is then given up
PATIENCE = 90.0  # seconds that a board has for what is left at the end

Warn = Callable[[str], None]


def require_boards(names: Iterable[str]) -> None:
    """Make sure that boards can be written to.

    Args:
        names: as in `runtime.boards`.

    Raises:
        UserError: a package is not installed or broken, or there is no login.
    """
    for name in names:
        with _explained(name):
            BOARDS[name].require()


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what a board's package raises before training into one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the board {name} cannot be begun ({said(error)}): see to that, or "
            f"{BOARDS[name].remedy}"
        ) from error


def said(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


class Boards:
    """The boards of a run; each is fed by a thread of its own, and one that fails is given up."""

    def __init__(self, names: Sequence[str], run: Run, *, step: int, warn: Warn) -> None:
        """Begin them.

        Args:
            names: as in `runtime.boards`.
            run: that they show, whose `run.json` is written.
            step: that it stands at.
            warn: told once of each board that fails.

        Raises:
            UserError: one cannot be begun.
        """
        self._warn = warn
        self._feeds: list[_Feed] = []
        about = About.of(run, step=step) if names else None
        try:
            for name in names:
                assert about is not None
                with _explained(name), warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", UserWarning)
                    board = BOARDS[name](about)
                for text in {str(each.message) for each in caught if each.category is UserWarning}:
                    warn(f"the board {name}: {text}")
                self._feeds.append(_Feed(board))
        except UserError:
            self.__exit__()
            raise

    def __enter__(self) -> "Boards":
        return self

    def __exit__(self, *_: object) -> None:
        for feed in self._feeds:
            feed.end()
        for feed in self._feeds:
            feed.wait()
        self._say_faults()

    def write(self, line: MetricsLine) -> None:
        """Return hand a line to each board, without waiting for any."""
        for feed in self._feeds:
            feed.put(line)
        self._say_faults()

    def _say_faults(self) -> None:
        for feed in [each for each in self._feeds if each.fault]:
            self._feeds.remove(feed)
            self._warn(
                f"the board {feed.name} is given up and training goes on without it: {feed.fault}"
            )


class _Feed:
    """A thread that hands lines to a board.

    Attributes:
        fault: why the board was given up; empty while it works.
    """

    def __init__(self, board: Board) -> None:
        self._board, self.name, self.fault = board, board.name, ""
        self._lines: SimpleQueue[MetricsLine | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=f"board {board.name}", daemon=True)
        self._thread.start()

    def put(self, line: MetricsLine) -> None:
        """Let a line wait for the board."""
        if self._lines.qsize() >= FURTHEST_BEHIND:
            self.fault = self.fault or f"it is {FURTHEST_BEHIND:,} lines behind"
        self._lines.put(line)

    def end(self) -> None:
        """Say that no line follows."""
        self._lines.put(None)

    def wait(self) -> None:
        """Wait for the board to write what is left, but not for ever."""
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.fault = self.fault or f"it had not taken all lines after {PATIENCE:.0f} seconds"

    def _run(self) -> None:
        try:
            while not self.fault and (line := self._lines.get()) is not None:
                self._board.write(line)
        except Exception as error:
            self.fault = said(error)
        try:
            self._board.close()
        except Exception as error:
            self.fault = self.fault or said(error)
