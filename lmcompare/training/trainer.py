"""Training one run: from its configuration to `done.json`, in as many sessions as it needs.

Every batch, corruption and initial weight is a function of the seed, the step and a purpose, so a
session that starts from a checkpoint continues exactly as an uninterrupted one would have, on the
same device with the same number of threads.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch

from lmcompare import devices, files
from lmcompare.config.phases import Phase
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared, prepare
from lmcompare.model import Backbone
from lmcompare.runs import checkpoints
from lmcompare.runs.contention import Pace
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.runs.notes import NO_CHANGE, NotesChange
from lmcompare.runs.records import DoneRecord, Manifest
from lmcompare.runs.run import Run
from lmcompare.training.batches import Batches, BatchReader
from lmcompare.training.boards.feeding import Boards, require_boards
from lmcompare.training.events import Interrupted, Message, Report
from lmcompare.training.learner import Learner
from lmcompare.training.phases import begins, rate_of_step, said_at_start, skipped
from lmcompare.training.resuming import resume
from lmcompare.training.run_record import begin_record, restore_text
from lmcompare.training.start import GivenWeights
from lmcompare.training.step_log import StepLog, StepResult
from lmcompare.training.validation import Validated, Validation


def train(
    config: RunConfig,
    run: Run,
    prepared: Prepared,
    *,
    arm: str,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
    notes: NotesChange = NO_CHANGE,
    start: GivenWeights | None = None,
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
        start: whose weights it starts from; None for new ones.

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
        session = _Session(config, run, prepared, device, arm=arm, report=report, start=start)
        return session.train(should_stop)


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
    for phase in config.phases:
        phase.objective.require(prepared.vocab, length=config.batch.length)
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
        start: GivenWeights | None,
    ):
        self.begun_at, self.start = perf_counter(), start
        self.config, self.run, self.prepared, self.report = config, run, prepared, report
        self.device = device
        if config.runtime.threads is not None:
            torch.set_num_threads(config.runtime.threads)
        devices.keep_freed_memory()
        devices.keep_compiled_products()
        net = Backbone(config.model, vocab_size=prepared.vocab.size, seed=config.seed)
        if start is not None:
            start.fill(net)
        record, rate = begin_record(
            run, config, prepared, net, device, arm=arm, report=report, start=start
        )
        self.learner = Learner(config, net, device, precision=record.precision)
        self.validation = Validation(
            config, prepared, micro_batch=self.learner.micro_batch, device=device
        )
        standing = resume(run, self.learner.optimizer, report=report)
        self.spent, self.read, self.phase = standing.spent, standing.read, standing.phase
        self.log = StepLog(
            run,
            config.budget,
            pace=Pace(MetricsFile(run.metrics_file).lines()),
            matmul_rate=rate,
            validation=standing.validation,
            report=report,
        )

    def train(self, should_stop: Callable[[], bool]) -> DoneRecord:
        """Train from where the run stands to its end.

        Raises:
            Interrupted: `should_stop` said so.
        """
        budget, saved, phase = self.config.budget, self.spent.steps, self.config.phase_after
        with self._boards() as boards, self._batches() as batches:
            while budget.progress(self.spent) < 1:
                stopped = not self._step(batches, should_stop)
                over = budget.progress(self.spent) >= 1
                ends = bool(self.config.phase) and self.phase != phase(self.spent).number
                due = over or ends or self.spent.steps - saved >= self.config.runtime.save_every
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
                wall_seconds=perf_counter() - self.begun_at,
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
        """Return the mean loss of the last tenth of the steps, as far as they are of one phase."""
        first = 0.9 * self.spent.steps
        losses = [
            line.loss
            for line in self.run.metrics()
            if line.step > first and line.phase == self.phase
        ]
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
        config, before = self.config, self.spent
        phase = config.phase_after(before)
        begun = self._begun(phase)
        start = perf_counter()
        batch = batches(before)
        # before the first step of all there is nothing that a stop could save
        stop_here = should_stop if before.steps else lambda: False
        loss = self.learner.backward(batch.pieces, stop_here)
        if loss is None:
            return False
        self.read.add(batch.step + 1, batch.tokens)
        reached = batch.after(before, seconds=perf_counter() - start)
        rate = rate_of_step(config, phase, reached)
        norm = self.learner.optimizer.step(rate=rate)
        due = self.validation.is_due(before, reached)
        if due:
            devices.wait(self.device)  # so that its time is not taken for that of training
        self.spent = batch.after(before, seconds=perf_counter() - start)
        self.phase = phase.number if config.phase else None
        self.log.add(
            StepResult(
                before=before,
                after=self.spent,
                rate=rate,
                loss=loss,
                norm=norm,
                validated=self.validation(self.learner, phase) if due else None,
                parts=batch.parts,
                phase=self.phase,
                begun=begun,
            )
        )
        return True

    def _begun(self, phase: Phase) -> Validated | None:
        """Ask a model that others trained, before an objective takes its first step with it."""
        for each in skipped(self.config, phase, self.phase):
            self.report(Message(text=f"phase {each.number}, {each}, was shorter than a step"))
        start = None if self.start is None else self.start.record
        if not (self.config.validation.times > 0 and begins(phase, self.phase, self.spent, start)):
            return None
        devices.wait(self.device)
        asked = self.validation(self.learner, phase)
        self.report(Message(text=said_at_start(self.config, phase, start, asked)))
        return asked

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
            phase=self.phase,
            ends_phase=self.phase != self.config.phase_after(self.spent).number,
        )
