"""Trackio: in a folder of this machine or, by its own variables, on a server or a Space."""

import io
from contextlib import redirect_stdout
from typing import Any, ClassVar

from lmcompare.runs.records import MetricsLine
from lmcompare.training.boards.base import About, Board, missing, values_of


class Trackio(Board):
    """A run of Trackio, which knows runs by their names."""

    name: ClassVar[str] = "trackio"

    @classmethod
    def require(cls) -> None:
        try:
            import trackio  # noqa: F401
        except ImportError:
            raise missing(cls.name) from None

    def __init__(self, about: About) -> None:
        import trackio

        self._faults: list[str] = []
        with redirect_stdout(io.StringIO()):  # stdout is for data
            run: Any = trackio.init(
                project=about.study,
                group=about.arm,
                name=about.id,
                config=about.told,
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
        trackio.context_vars.current_run.set(None)  # or it would be ended once more, by its module
        self._run, self._next = run, run._next_step
        # It warns of what fails in its own thread, and goes on.
        run._warn_once = lambda key, message: self._faults.append(message)

    def write(self, line: MetricsLine) -> None:
        self._require_no_fault()
        if line.step >= self._next:  # the others are there already, and were the same
            self._run.log(values_of(line), step=line.step)

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):
            self._run.finish()
        self._require_no_fault()

    def _require_no_fault(self) -> None:
        if self._faults:
            raise OSError(self._faults[0])
