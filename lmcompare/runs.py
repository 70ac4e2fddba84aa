"""The run directory: its names, its states, its lock. No other module knows them."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.numpy
from filelock import FileLock, Timeout
from jaxtyping import Int
from numpy import ndarray
from pydantic import ValidationError

from lmcompare import checkpoints, files
from lmcompare.errors import UserError
from lmcompare.records import DoneRecord, MetricsLine, RunRecord
from lmcompare.results import Results

State = Literal["finished", "running", "stopped", "empty"]

STUDY_FILE = "study.toml"


@dataclass(frozen=True)
class Run:
    """One run directory; it may not exist yet."""

    path: Path

    @property
    def study(self) -> str:
        """The name of the study it belongs to."""
        return self.path.absolute().parent.name

    @property
    def record_file(self) -> Path:
        """`run.json`."""
        return self.path / "run.json"

    @property
    def metrics_file(self) -> Path:
        """`metrics.jsonl`."""
        return self.path / "metrics.jsonl"

    @property
    def tokenizer_file(self) -> Path:
        """`tokenizer.json`."""
        return self.path / "tokenizer.json"

    @property
    def counts_file(self) -> Path:
        """`counts.safetensors`."""
        return self.path / "counts.safetensors"

    @property
    def done_file(self) -> Path:
        """`done.json`."""
        return self.path / "done.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoint"

    @property
    def results(self) -> Results:
        """What was measured of its models."""
        return Results(self.path / "eval")

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    def record(self) -> RunRecord:
        """What the run is.

        Raises:
            UserError: no run there, or one of another schema.
        """
        if not self.record_file.exists():
            raise UserError(f"{self.path} is no run: it holds no {self.record_file.name}")
        return RunRecord.read(self.record_file)

    def done(self) -> DoneRecord | None:
        """How the run ended, if it did."""
        return DoneRecord.read(self.done_file) if self.done_file.exists() else None

    def state(self) -> State:
        """Where the run stands."""
        if self.done_file.exists():
            return "finished"
        if self._lock_holder() is not None:
            return "running"
        return "stopped" if self.record_file.exists() else "empty"

    def metrics(self) -> Iterator[MetricsLine]:
        """The lines of `metrics.jsonl`; a last line that is cut off is left out.

        Raises:
            UserError: a line is broken.
        """
        if self.metrics_file.exists():
            with self.metrics_file.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield self._metrics_line(line)

    def last_metrics(self) -> MetricsLine | None:
        """The last line of `metrics.jsonl`, found from the end of the file."""
        if not self.metrics_file.exists():
            return None
        with self.metrics_file.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4096))
            whole, _, _ = file.read().rpartition(b"\n")
        last = whole.rpartition(b"\n")[2]
        return self._metrics_line(last) if last else None

    def _metrics_line(self, line: bytes) -> MetricsLine:
        try:
            return MetricsLine.model_validate_json(line)
        except ValidationError:
            raise UserError(
                f"{self.metrics_file} holds a line that is no valid {MetricsLine.__name__}, "
                f"{line[:40]!r}: start the run again with --force"
            ) from None

    def add_metrics(self, line: MetricsLine) -> None:
        """Append a line to `metrics.jsonl`.

        Raises:
            UserError: the disk is full or the file not writable.
        """
        with files.explained(self.metrics_file), self.metrics_file.open("ab") as file:
            file.write(line.model_dump_json().encode() + b"\n")

    def last_validation(self) -> float | None:
        """The latest validation loss, nats a target."""
        losses = [line.validation for line in self.metrics() if line.validation is not None]
        return losses[-1] if losses else None

    def forget_after(self, step: int) -> None:
        """Drop the metrics of steps after `step`, which are going to be done again."""
        if self.metrics_file.exists():
            kept = (line.model_dump_json() + "\n" for line in self.metrics() if line.step <= step)
            files.write_text(self.metrics_file, "".join(kept))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that no other process writes to it.

        Raises:
            UserError: a live process holds it.
        """
        with files.explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # Whoever looks whether a run is running holds its lock for a moment.
            lock = FileLock(self._lock_file, timeout=1)
            try:
                lock.acquire()
            except Timeout:
                raise UserError(
                    f"the run {self.path} is being written by a live process "
                    f"({self._lock_holder()}): wait for it, or stop it first"
                ) from None
        try:
            files.write_text(self._holder_file, f"process {os.getpid()} on {platform.node()}")
            yield
        finally:
            self._holder_file.unlink(missing_ok=True)
            lock.release()

    def write_token_counts(self, counts: Int[ndarray, " V"]) -> None:
        """Keep how often each id stands in the training text."""
        files.write_bytes(self.counts_file, safetensors.numpy.save({"train": counts}))

    def token_counts(self) -> Int[ndarray, " V"]:
        """How often each id stands in the training text.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            return safetensors.numpy.load_file(self.counts_file)["train"]
        except (OSError, KeyError, safetensors.SafetensorError) as error:
            raise UserError(
                f"{self.counts_file} is missing or damaged ({error}): start the run again with "
                "--force"
            ) from None

    @property
    def _lock_file(self) -> Path:
        return self.path / ".lock"

    @property
    def _holder_file(self) -> Path:
        return self.path / ".holder"

    def _lock_holder(self) -> str | None:
        """Who holds the lock; None if nobody does."""
        if not self._lock_file.exists():
            return None
        holder = self._holder_file.read_text() if self._holder_file.exists() else None
        try:
            with FileLock(self._lock_file, blocking=False):
                return None
        except Timeout:
            return holder or "which is starting"
        except OSError:  # a folder that we may only read: believe what stands there
            return holder


def find_runs(places: Iterable[Path], *, warn: Callable[[str], None] = lambda _: None) -> list[Run]:
    """All runs at `places`: run directories, studies, study files, or folders of studies.

    Raises:
        UserError: a place that does not exist or holds no run.
    """
    found: dict[Path, Run] = {}
    for place in places:
        folder = place.parent if place.is_file() else place
        if not folder.exists():
            raise UserError(
                f"there is no run or study at {place}: start one with `lmcompare train`"
            )
        if (folder / "run.json").exists():
            runs = [folder]
        else:
            runs = sorted(
                path.parent for path in [*folder.glob("*/run.json"), *folder.glob("*/*/run.json")]
            )
        if not runs:
            raise UserError(f"{place} holds no run yet: start one with `lmcompare train`")
        found |= {path.resolve(): Run(path) for path in runs}
    return list(found.values())


def load_checkpoint(run: Run, *, warn: Callable[[str], None]) -> checkpoints.Checkpoint:
    """The newest good checkpoint of a run.

    Raises:
        UserError: there is none.
    """
    checkpoint = checkpoints.latest(run.checkpoints, warn=warn)
    if checkpoint is None:
        raise UserError(
            f"the run {run.path} has no checkpoint yet: let `lmcompare train` go on with it first"
        )
    return checkpoint


def library_versions() -> dict[str, str]:
    """Versions of what a result may depend on."""
    names = ("lmcompare", "torch", "tokenizers", "numpy", "safetensors", "pydantic")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def git_commit() -> str | None:
    """The commit of lmcompare's own source, `+` behind it if changed; None outside git."""
    source = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("ls-files", Path(__file__).name) == "":
            return None  # installed into somebody else's repository
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
