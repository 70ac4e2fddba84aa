"""The run directory: its names, its states, its lock, and whether its files belong together.

What is read is checked where it is read, each file once a process: `done.json` and each checkpoint
hold the hash of `run.json`, which holds those of the tokenizer and of the counts.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.numpy
from jaxtyping import Int
from numpy import ndarray

from lmcompare import files
from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.runs import checkpoints, run_lock
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.runs.notes import RunNotes
from lmcompare.runs.records import DoneRecord, Manifest, MetricsLine, RunRecord
from lmcompare.runs.results import Results

State = Literal["finished", "running", "stopped", "empty"]

_RESTORED = "the same `lmcompare train` restores it from the text of training"


@dataclass(frozen=True)
class Run:
    """One run directory; it may not exist yet."""

    path: Path
    at: int | None = None  # a step: its checkpoint is what is meant, and not the last one

    @property
    def study(self) -> str:
        """Return the name of the study it belongs to."""
        return self.path.absolute().parent.name

    @property
    def record_file(self) -> Path:
        """Return the path of `run.json`."""
        return self.path / "run.json"

    @property
    def metrics_file(self) -> Path:
        """Return the path of `metrics.jsonl`."""
        return self.path / "metrics.jsonl"

    @property
    def tokenizer_file(self) -> Path:
        """Return the path of `tokenizer.json`."""
        return self.path / "tokenizer.json"

    @property
    def counts_file(self) -> Path:
        """Return the path of `counts.safetensors`."""
        return self.path / "counts.safetensors"

    @property
    def start_file(self) -> Path:
        """Return the path of `start.safetensors`, another model's weights that it began with."""
        return self.path / "start.safetensors"

    @property
    def done_file(self) -> Path:
        """Return the path of `done.json`."""
        return self.path / "done.json"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints."""
        return self.path / "checkpoint"

    @property
    def results(self) -> Results:
        """Return what was measured of its models."""
        folder = self.path / "eval"
        place = folder if self.at is None else checkpoints.place_of(folder, self.at)
        return Results(place, self.record_file)

    @property
    def notes_file(self) -> Path:
        """Return the path of `notes.json`."""
        return self.path / "notes.json"

    def notes(self) -> RunNotes:
        """Read what people say of it.

        Raises:
            UserError: the file is broken.
        """
        return RunNotes.at(self.notes_file)

    def record(self) -> RunRecord:
        """Read what the run is.

        Raises:
            UserError: no run there, one of another schema, or one that is not what was trained.
        """
        if not self.record_file.exists():
            raise UserError(f"{self.path} is no run: it holds no {self.record_file.name}")
        record = RunRecord.read(self.record_file)
        if self.done() is None:
            kept = [each.manifest for each in checkpoints.records(self.checkpoints)]
            if kept and all(each is not None and each.run != self.hash for each in kept):
                raise UserError(
                    f"{self.record_file} is not that of the checkpoints beside it: bring it back "
                    "from a copy, or start the run again with `again=True`"
                )
        return record

    def done(self) -> DoneRecord | None:
        """Read how the run ended, if it did.

        Raises:
            UserError: it is broken, or how another run ended.
        """
        if not self.done_file.exists():
            return None
        done = DoneRecord.read(self.done_file)
        if done.manifest is not None and done.manifest.run != self.hash:
            raise UserError(
                f"{self.record_file} and {self.done_file} are not of the same run: bring them back "
                "from a copy, or start the run again with `again=True`"
            )
        return done

    @property
    def hash(self) -> str:
        """Return the hash of `run.json`, which other files of the run hold.

        Raises:
            UserError: it cannot be read.
        """
        with files.reading(self.record_file):
            return files.checksum(self.record_file)

    def state(self) -> State:
        """Tell where the run stands."""
        if self.done_file.exists():
            return "finished"
        if self.holder() is not None:
            return "running"
        return "stopped" if self.record_file.exists() else "empty"

    def metrics(self) -> Iterator[MetricsLine]:
        """Yield the lines of `metrics.jsonl`: all while it runs, else to the last checkpoint.

        Raises:
            UserError: a line is broken, or the file is not what it was at that checkpoint.
        """
        yield from MetricsFile(self.metrics_file).lines(self._metrics_size())

    def last_metrics(self) -> MetricsLine | None:
        """Return the last of these lines, found from the end of the file."""
        return MetricsFile(self.metrics_file).last(self._metrics_size())

    def last_validation(self) -> float | None:
        """Return the latest validation loss, nats a target."""
        losses = [line.validation for line in self.metrics() if line.validation is not None]
        return losses[-1] if losses else None

    def add_metrics(self, line: MetricsLine) -> None:
        """Append a line to `metrics.jsonl`.

        Raises:
            UserError: the disk is full or the file not writable.
        """
        MetricsFile(self.metrics_file).add(line)

    def _metrics_size(self) -> int | None:
        """Return how many bytes of `metrics.jsonl` count; None for all."""
        if self.state() == "running" or not self.record_file.exists():
            return None
        last = self.done() or checkpoints.newest_record(self.checkpoints, run=self.hash)
        if last is None or last.manifest is None:
            return None
        self.require_metrics(last.manifest)
        return last.manifest.metrics_size

    def require_metrics(self, manifest: Manifest) -> None:
        """Make sure that `metrics.jsonl` begins with what it was.

        Raises:
            UserError: it does not.
        """
        self._require(
            self.metrics_file,
            manifest.metrics,
            size=manifest.metrics_size,
            remedy="bring it back from a copy, or start the run again with `again=True`",
        )

    def _require(self, file: Path, expected: str, *, remedy: str, size: int | None = None) -> None:
        if not file.exists():
            raise UserError(f"{file} is missing: {remedy}")
        with files.reading(file):
            same = files.checksum(file, size=size) == expected
        if not same:
            raise UserError(f"{file} has changed since it was written: {remedy}")

    def tokenizer(self) -> Tokenizer:
        """Read its tokenizer.

        Raises:
            UserError: it is missing, or not the one of training.
        """
        checksum = self.record().sheet.tokenizer
        self._require(self.tokenizer_file, checksum, remedy=_RESTORED)
        return _tokenizer(_TokenizerFile(path=self.tokenizer_file, checksum=checksum))

    def token_counts(self) -> Int[ndarray, " V"]:
        """Read how often each id stands in the training text.

        Raises:
            UserError: the file is missing or damaged.
        """
        if (expected := self.record().counts) is not None:
            self._require(self.counts_file, expected, remedy=_RESTORED)
        try:
            return safetensors.numpy.load_file(self.counts_file)["train"]
        except (OSError, KeyError, safetensors.SafetensorError) as error:
            raise UserError(
                f"{self.counts_file} is missing or damaged ({error}): {_RESTORED}"
            ) from None

    def lacks_text(self) -> bool:
        """Tell whether what it keeps of its text, tokenizer or counts, is missing or damaged.

        Raises:
            UserError: no run there.
        """
        record = self.record()
        try:
            self._require(self.tokenizer_file, record.sheet.tokenizer, remedy="")
            self.token_counts()
        except UserError:
            return True
        return False

    def keep_text(self, tokenizer: Tokenizer, counts: bytes) -> None:
        """Write what the run keeps of its text: `tokenizer.json` and `counts.safetensors`."""
        files.write_text(self.tokenizer_file, tokenizer.json)
        files.write_bytes(self.counts_file, counts)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that no other process writes to it.

        Raises:
            Busy: a live process holds it.
        """
        with files.explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = run_lock.locked(self._lock_file, f"process {os.getpid()} on {platform.node()}")
            lock.__enter__()
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    @property
    def _lock_file(self) -> Path:
        return self.path / ".lock"

    def holder(self) -> str | None:
        """Return which process writes to it; None if none does."""
        return run_lock.holder(self._lock_file)


@dataclass(frozen=True)
class _TokenizerFile:
    path: Path = field(compare=False)
    checksum: str  # of what it holds; files that share it hold the same tokenizer


@lru_cache(maxsize=4)
def _tokenizer(file: _TokenizerFile) -> Tokenizer:
    """Read a tokenizer, once for all runs that share it."""
    return Tokenizer.load(file.path)


def counts_file(counts: Int[ndarray, " V"]) -> bytes:
    """Return what `counts.safetensors` holds: how often each id stands in the training text."""
    return safetensors.numpy.save({"train": counts})
