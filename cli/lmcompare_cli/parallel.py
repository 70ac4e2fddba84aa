"""Several runs at a time, each in a process of its own: small models leave most of a GPU idle."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

from lmcompare_cli import signals
from lmcompare_cli.stopping import Stop

if TYPE_CHECKING:
    from lmcompare.config.study import Planned
    from lmcompare.runs.notes import NotesChange

# the run, folder of the study, again, what to say of the run
Job = tuple["Planned", Path, bool, "NotesChange"]


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """The end of a run: with a line about it, by a signal, or with an error in one line."""

    name: str  # its folder; its arm and seed where there is none
    summary: str = ""
    error: str = ""
    exit_code: int = 0  # of a signal that stopped it


def train_side_by_side(jobs: Sequence[Job], *, processes: int, cache: Path) -> Iterator[RunEnded]:
    """Train all runs, and yield how each ended, as it ends.

    A signal to this process, or to all of them, ends each after the step that it is in: it saves
    its run, and runs that wait are left.
    """
    context = multiprocessing.get_context("spawn")  # a process that has used a GPU cannot fork
    ending = context.Event()
    pool = ProcessPoolExecutor(
        min(processes, len(jobs)), mp_context=context, initializer=_begin, initargs=(ending,)
    )
    with pool, Stop(tell=ending.set) as stop:
        coming: list[Future[RunEnded]] = [pool.submit(_train, *job, cache) for job in jobs]
        stop()  # from now on a signal is for the processes to obey
        while coming:
            done, _ = wait(coming, return_when=FIRST_COMPLETED)
            coming = [future for future in coming if future not in done]
            for ended in (future.result() for future in done):
                if ended.exit_code:
                    ending.set()
                told = stop.number and ended.exit_code
                yield replace(ended, exit_code=stop.exit_code) if told else ended
            if ending.is_set():
                coming = [future for future in coming if not future.cancel()]


_ending: Event  # in a process of the pool: whether all are to end


def _begin(ending: Event) -> None:
    """Begin a process of the pool."""
    global _ending
    _ending = ending


def _train(
    planned: "Planned", study: Path, again: bool, notes: "NotesChange", cache: Path
) -> RunEnded:
    """Train one run, in a process of the pool."""
    from lmcompare.errors import UserError
    from lmcompare.training import launch
    from lmcompare.training.events import Interrupted
    from lmcompare_cli.app import explained

    name = f"{planned.arm}, seed {planned.config.seed}"
    if _ending.is_set():
        return RunEnded(name=name, summary="not begun", exit_code=signals.KILLED + signal.SIGINT)
    try:
        with Stop() as stop:
            ready = launch.prepare(planned, study=study, cache=cache, again=again, notes=notes)
            name = str(ready.run.path)
            done = ready.train(
                report=lambda _: None, should_stop=lambda: stop() or _ending.is_set()
            )
    except Interrupted as interrupted:
        return RunEnded(name=name, summary=str(interrupted), exit_code=stop.exit_code)
    except signals.Ended as ended:
        return RunEnded(name=name, summary="stopped", exit_code=signals.KILLED + ended.number)
    except UserError as error:
        return RunEnded(name=name, error=str(error))
    except Exception as error:  # a GPU too small for all of them: the other runs continue
        if os.environ.get("LMCOMPARE_TRACEBACK"):
            raise
        return RunEnded(name=name, error=explained(error))
    if ready.finished is not None:
        return RunEnded(name=name, summary="finished before")
    validation = "" if done.validation is None else f", validation {done.validation:.4f}"
    return RunEnded(
        name=name,
        summary=f"{done.spent.steps:,} steps in {done.spent.seconds:,.0f} s, "
        f"loss {done.loss:.4f}{validation}",
    )
