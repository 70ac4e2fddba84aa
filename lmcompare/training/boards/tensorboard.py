"""TensorBoard: event files in the run's folder."""

import json
from typing import ClassVar

from lmcompare.runs.records import MetricsLine
from lmcompare.training.boards.base import About, Board, missing, values_of


class TensorBoard(Board):
    """Event files, in which what follows the step of a resumed run is dropped."""

    name: ClassVar[str] = "tensorboard"

    @classmethod
    def require(cls) -> None:
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise missing(cls.name) from None

    def __init__(self, about: About) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = about.folder / self.name
        self._writer = SummaryWriter(str(folder), purge_step=about.step + 1)
        told = json.dumps(about.told, indent=2).replace("<", "\\u003c")  # it may render HTML
        self._writer.add_text("run", "\n".join(f"    {line}" for line in told.splitlines()))

    def write(self, line: MetricsLine) -> None:
        for name, value in values_of(line).items():
            self._writer.add_scalar(name, value, line.step)

    def close(self) -> None:
        self._writer.close()
