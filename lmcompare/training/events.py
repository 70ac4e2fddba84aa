"""What a training run reports: to a terminal, a log, TensorBoard."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmcompare.errors import UserError
from lmcompare.runs.records import MetricsLine


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something a user wants to know, once."""

    text: str
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A step is done."""

    line: MetricsLine
    share: float  # of the budget, 0 to 1
    tokens_per_second: float
    seconds_left: float
    utilisation: float  # of the rate at which this machine multiplies matrices, 0 to 1
    disturbed: bool = False  # steps have lately been far slower than the run's best


Report = Callable[[Message | Progress], None]


class Interrupted(Exception):
    """Training was asked to stop, and has saved a checkpoint."""


class Board:
    """TensorBoard's event files, where they are wanted."""

    def __init__(self, folder: Path | None, *, step: int):
        self._writer = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "runtime.tensorboard needs the package tensorboard, which is not installed: "
                "pip install 'lmcompare[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, line: MetricsLine) -> None:
        if self._writer is not None:
            for name, value in line.model_dump(exclude={"step"}, exclude_none=True).items():
                self._writer.add_scalar(name, value, line.step)
