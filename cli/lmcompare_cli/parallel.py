"""Several runs at a time, each in a process of its own: small models leave most of a GPU idle."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from lmcompare_cli.stopping import Stop


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: with a line about it, interrupted, or with an error in one line."""

    path: Path
    summary: str = ""
    error: str = ""
    interrupted: bool = False


def train_side_by_side(
    runs: Sequence[tuple[str, str, Path]], *, processes: int, cache: Path
) -> Iterator[Ended]:
    """Train all `runs` (arm, configuration as JSON, folder), and tell of each as it ends.

    An interrupt reaches every process: each saves its run, and those that wait are left.
    """
    if not runs:
        return
    context = multiprocessing.get_context("spawn")  # a process that has used a GPU cannot fork
    with ProcessPoolExecutor(min(processes, len(runs)), mp_context=context) as pool, Stop() as stop:
        coming: list[Future[Ended]] = [pool.submit(_train, *run, cache) for run in runs]
        for future in as_completed(coming):
            if future.cancelled():
                continue
            ended = future.result()
            yield ended
            if stop() or ended.interrupted:
                pool.shutdown(wait=False, cancel_futures=True)


def _train(arm: str, config: str, path: Path, cache: Path) -> Ended:
    """Train one run, in a process of the pool."""
    from lmcompare import training
    from lmcompare.config import RunConfig
    from lmcompare.errors import UserError
    from lmcompare.events import Interrupted
    from lmcompare.runs import Run

    try:
        with Stop() as stop:
            done = training.train(
                RunConfig.model_validate_json(config),
                Run(path),
                arm=arm,
                cache=cache,
                report=lambda _: None,
                should_stop=stop,
            )
    except Interrupted as interrupted:
        return Ended(path=path, summary=str(interrupted), interrupted=True)
    except UserError as error:
        return Ended(path=path, error=str(error))
    validation = "" if done.validation is None else f", validation {done.validation:.4f}"
    return Ended(
        path=path,
        summary=f"{done.spent.steps:,} steps in {done.spent.seconds:,.0f} s, "
        f"loss {done.loss:.4f}{validation}",
    )
