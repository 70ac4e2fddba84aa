"""Training one run: from its configuration to `done.json`, in as many sessions as it needs.

Every batch, corruption and initial weight is a function of the seed, the step and a purpose, so a
session that starts from a checkpoint continues exactly as an uninterrupted one would have, on the
same device with the same number of threads.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter

import torch

from lmcompare import devices, files
from lmcompare.config.budget import Spent
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared, prepare
from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.optim import learning_rate
from lmcompare.runs import checkpoints
from lmcompare.runs.contention import Pace
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.runs.notes import NO_CHANGE, NotesChange
from lmcompare.runs.records import DoneRecord, Manifest
from lmcompare.runs.run import Run
from lmcompare.training.batches import Batches, BatchReader
from lmcompare.training.boards.feeding import Boards, require_boards
from lmcompare.training.control_sheet import ReadSoFar
from lmcompare.training.events import Interrupted, Message, Report
from lmcompare.training.learner import Learner
from lmcompare.training.run_record import begin_record, restore_text
from lmcompare.training.step_log import StepLog, StepResult
from lmcompare.training.validation import Validation


def train(
    config: RunConfig,
    run: Run,
    prepared: Prepared,
    *,
    arm: str,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
    notes: NotesChange = NO_CHANGE,
) -> DoneRecord:
    """Train a run to its end, from its last checkpoint if it has one; leave a finished one.

    If the tokenizer or the counts, which a run keeps of its text, were lost, they are restored.

    Args:
        config: the run in full.
        run: where it lives.
        prepared: its text, as `read_text` returns it.
        arm: what it is called in tables.
        report: told what happens.
        should_stop: asked after every step, and within one between its micro-batches; a step that
            is stopped within is left out.
        notes: what to say of the run, a finished one too.

    Raises:
        UserError: bad data or settings, a damaged or foreign run, a loss that is not a number, a
            full disk.
        Busy: another process writes to the run.
        Interrupted: `should_stop` said so.
    """
    done = run.done()
    if done is not None and not run.lacks_text():
        notes.apply(run.notes_file)
        return done
    # All that can be wrong with settings is found before the run's folder is made.
    device = devices.choose_device(config.runtime.device)
    require_boards(config.runtime.boards)
    with run.locked():
        notes.apply(run.notes_file)
        if done is not None:
            restore_text(run, prepared, report=report)
            return done
        return _Session(config, run, prepared, device, arm=arm, report=report).train(should_stop)


def read_text(
    config: RunConfig,
    *,
    cache: Path,
    report: Callable[[str], None] = lambda text: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """Read the text of a run; `report` and `warn` as in `prepare`.

    Raises:
        TextUnavailableError: it cannot be read here.
        UserError: it cannot be read, is shorter than one block, or its tokenizer lacks a token.
    """
    prepared = prepare(config.data, config.tokenizer, cache=cache, report=report, warn=warn)
    config.objective.require(prepared.vocab, length=config.batch.length)
    prepared.split("train").num_blocks(config.batch.length)
    if config.validation.times > 0:
        prepared.split("validation").num_blocks(config.batch.length)
    return prepared


class _Session:
    """One process's work on a run."""

    def __init__(
        self,
        config: RunConfig,
        run: Run,
        prepared: Prepared,
        device: torch.device,
        *,
        arm: str,
        report: Report,
    ):
        self.start = perf_counter()
        self.config, self.run, self.prepared, self.report = config, run, prepared, report
        self.device = device
        if config.runtime.threads is not None:
            torch.set_num_threads(config.runtime.threads)
        devices.keep_freed_memory()
        devices.keep_compiled_products()
        net = Backbone(config.model, vocab_size=prepared.vocab.size, seed=config.seed)
        record, rate = begin_record(run, config, prepared, net, device, arm=arm, report=report)
        self.learner = Learner(config, net, device, precision=record.precision)
        self.validation = Validation(
            config, prepared, micro_batch=self.learner.micro_batch, device=device
        )
        self._resume(matmul_rate=rate)

    def _resume(self, *, matmul_rate: float) -> None:
        """Return to the last good checkpoint, if there is one.

        Raises:
            UserError: no checkpoint is good, or `metrics.jsonl` is not that of the checkpoint.
        """
        self.spent, validation = Spent(), None
        read: Mapping[int, str] | None = {}
        found = checkpoints.latest(
            self.run.checkpoints,
            run=self.run.hash,
            warn=self._warn,
        )
        metrics = MetricsFile(self.run.metrics_file)
        if found is None:
            metrics.cut(0)
        elif (manifest := found.record.manifest) is not None:
            self.run.require_metrics(manifest)
            metrics.cut(manifest.metrics_size)
            read = manifest.read
        else:  # of schema 1
            metrics.cut_after(found.record.spent.steps)
            read = None
        if found is not None:
            self.learner.optimizer.restore(found.optimizer())
            self.spent, validation = found.record.spent, found.record.validation
            self.report(Message(text=f"continuing from step {self.spent.steps}"))
        self.read = ReadSoFar(read)
        self.log = StepLog(
            self.run,
            self.config.budget,
            pace=Pace(metrics.lines()),
            matmul_rate=matmul_rate,
            validation=validation,
            report=self.report,
        )
        last = metrics.last()
        if (0 if last is None else last.step) != self.spent.steps:
            raise UserError(
                f"{self.run.metrics_file} lacks the steps before the checkpoint of step "
                f"{self.spent.steps}: bring it back, or start the run again with `again=True`"
            )

    def train(self, should_stop: Callable[[], bool]) -> DoneRecord:
        """Train from where the run stands to its end.

        Raises:
            Interrupted: `should_stop` said so.
        """
        budget, saved = self.config.budget, self.spent.steps
        with self._boards() as boards, self._batches() as batches:
            while budget.progress(self.spent) < 1:
                stopped = not self._step(batches, should_stop)
                over = budget.progress(self.spent) >= 1
                due = over or self.spent.steps - saved >= self.config.runtime.save_every
                if due or len(self.log) >= devices.steps_unread(self.device):
                    self.spent = self.log.write(self.spent, boards)
                if due:
                    self._save()
                    saved = self.spent.steps
                if (stopped or should_stop()) and not over:
                    self.spent = self.log.write(self.spent, boards)
                    self._save()
                    raise Interrupted(f"stopped at step {self.spent.steps}, which is saved")
            done = DoneRecord(
                spent=self.spent,
                loss=self._final_loss(),
                validation=self.log.validation,
                wall_seconds=perf_counter() - self.start,
                peak_memory=devices.peak_memory(self.device),
                undisturbed_seconds=self.log.pace.undisturbed_seconds,
                manifest=self._manifest(),
            )
            done.write(self.run.done_file)  # before what a slow board may take
        return done

    def _boards(self) -> Boards:
        names, step = self.config.runtime.boards, self.spent.steps
        return Boards(names, self.run, step=step, warn=self._warn)

    def _warn(self, text: str) -> None:
        self.report(Message(text=text, warning=True))

    def _final_loss(self) -> float:
        """Return the mean loss of the last tenth of the steps, nats a target."""
        losses = [line.loss for line in self.run.metrics() if line.step > 0.9 * self.spent.steps]
        return sum(losses) / len(losses)

    def _batches(self) -> Batches:
        reader = BatchReader(
            config=self.config,
            text=self.prepared.split("train"),
            vocab=self.prepared.vocab,
            micro_batch=self.learner.micro_batch,
            device=self.device,
        )
        budget, ahead = self.config.budget, devices.prepares_ahead(self.device)
        return Batches(
            reader,
            ahead=lambda spent: ahead and budget.unit != "seconds" and budget.progress(spent) < 1,
        )

    def _step(self, batches: Batches, should_stop: Callable[[], bool]) -> bool:
        """Update the weights once; `spent` grows, and what came out waits in the log to be read.

        Returns:
            Whether it was done. If it was stopped between two pieces, all is as before it.
        """
        start, config, before = perf_counter(), self.config, self.spent
        batch = batches(before)
        # before the first step of all there is nothing that a stop could save
        stop_here = should_stop if before.steps else lambda: False
        loss = self.learner.backward(batch.pieces, stop_here)
        if loss is None:
            return False
        self.read.add(batch.step + 1, batch.tokens)
        reached = batch.after(before, seconds=perf_counter() - start)
        rate = learning_rate(config.optimizer, config.budget.progress(reached))
        norm = self.learner.optimizer.step(rate=rate)
        due = self.validation.is_due(before, reached)
        if due:
            devices.wait(self.device)  # so that its time is not taken for that of training
        self.spent = batch.after(before, seconds=perf_counter() - start)
        self.log.add(
            StepResult(
                before=before,
                after=self.spent,
                rate=rate,
                loss=loss,
                norm=norm,
                validated=self.validation(self.learner) if due else None,
                parts=batch.parts,
            )
        )
        return True

    def _manifest(self) -> Manifest:
        size = self.run.metrics_file.stat().st_size
        return Manifest(
            run=self.run.hash,
            metrics=files.checksum(self.run.metrics_file, size=size),
            metrics_size=size,
            read=self.read.marks,
        )

    def _save(self) -> None:
        files.sync(self.run.metrics_file)  # a checkpoint never outlives the lines before it
        optimizer = self.learner.optimizer
        parts = {
            checkpoints.MODEL: optimizer.weights(),
            checkpoints.OPTIMIZER: optimizer.state(),
        }
        average = optimizer.averaged_weights()
        if average is not None:
            parts[checkpoints.AVERAGE] = average
        checkpoints.save(
            self.run.checkpoints,
            parts,
            spent=self.spent,
            validation=self.log.validation,
            keep=self.config.runtime.keep,
            manifest=self._manifest(),
        )
