"""Weights & Biases, online or, by its own WANDB_MODE=offline, in the run's folder."""

import os
from contextlib import suppress
from typing import Any, ClassVar

from lmcompare.errors import UserError
from lmcompare.runs.records import MetricsLine
from lmcompare.training.boards.base import About, Board, missing, values_of

_OFFLINE = ("offline", "dryrun", "disabled")
# Seconds: of waiting for the server before training, and for what is left to be sent after it.
_PATIENCE = {"init_timeout": 20.0, "finish_timeout": 60.0}


class WeightsAndBiases(Board):
    """A run of Weights & Biases; that of an interrupted run goes on under the same id."""

    name: ClassVar[str] = "wandb"
    remedy: ClassVar[str] = "set WANDB_MODE=offline, or leave it out of runtime.boards"

    @classmethod
    def require(cls) -> None:
        try:
            import wandb
        except ImportError:
            raise missing(cls.name) from None
        if _mode() not in _OFFLINE and not wandb.login(prompt=False):
            raise UserError(f"the board wandb has no login here: run `wandb login`, {cls.remedy}")

    def __init__(self, about: About) -> None:
        import wandb

        patience = {
            name: seconds
            for name, seconds in _PATIENCE.items()
            if f"WANDB_{name.upper()}" not in os.environ
        }
        self._run = wandb.init(
            project=about.study,
            group=about.arm,
            name=about.folder.name,
            id=about.id,
            tags=about.tags,
            notes=about.comment or None,
            config=about.told,
            dir=None if "WANDB_DIR" in os.environ else about.folder,
            mode=_mode(),
            resume="allow" if _mode() not in _OFFLINE else None,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", **patience),
        )
        self._next = self._run.step

    def write(self, line: MetricsLine) -> None:
        if line.step >= self._next:  # the others are there already, and were the same
            self._run.log(values_of(line), step=line.step)

    def close(self) -> None:
        try:
            self._run.finish()
        except Exception:  # its process is gone, which would be missed again at the end of ours
            import wandb

            with suppress(Exception):
                wandb.teardown()
            raise


def _mode() -> Any:
    import wandb

    return os.environ.get("WANDB_MODE") or wandb.setup().settings.mode
