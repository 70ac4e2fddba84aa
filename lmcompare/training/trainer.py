"""Training one run: from its configuration to `done.json`, in as many sessions as it takes.

Every batch, corruption and initial weight is a function of the seed, the step and a purpose, so a
session that takes up a checkpoint goes on exactly as an uninterrupted one would have (on the same
device with the same number of threads).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from lmcompare import devices, files, rng
from lmcompare.config.budget import Spent
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared, Split, prepare
from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.optim import Optimizer, learning_rate
from lmcompare.runs import checkpoints, provenance
from lmcompare.runs.contention import Pace
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.runs.records import ControlSheet, DoneRecord, Manifest, MetricsLine, RunRecord
from lmcompare.runs.run import Run, counts_file
from lmcompare.runs.training_text import is_run_of
from lmcompare.training.batches import Batches, Reader, pieces
from lmcompare.training.control_sheet import ReadSoFar, control_sheet
from lmcompare.training.cuda_graphs import Replayed
from lmcompare.training.events import (
    Board,
    Interrupted,
    Message,
    Progress,
    Report,
)
from lmcompare.view import View


def train(
    config: RunConfig,
    run: Run,
    prepared: Prepared,
    *,
    arm: str,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> DoneRecord:
    """Train a run to its end, from its last checkpoint if it has one; a finished one is left.

    Where what a run keeps of its text, the tokenizer and the counts, was lost, it is restored.

    Args:
        config: the run in full.
        run: where it lives.
        prepared: its text, as `read_text` returns it.
        arm: what it is called in tables.
        report: told what happens.
        should_stop: asked after every step, and within one between its micro-batches; a step that
            is stopped within is left out.

    Raises:
        UserError: bad data or settings, a damaged or foreign run, a loss that is no number, a full
            disk.
        Busy: another process writes to the run.
        Interrupted: `should_stop` said so.
    """
    done = run.done()
    if done is not None and not run.lacks_text():
        return done
    # All that can be wrong with settings is found before the run's folder is made.
    device = devices.choose_device(config.runtime.device)
    with run.locked():
        if done is not None:
            _restore_text(run, prepared, report=report)
            return done
        return _Session(config, run, prepared, device, arm=arm, report=report).go_on(should_stop)


def read_text(
    config: RunConfig,
    *,
    cache: Path,
    report: Callable[[str], None] = lambda text: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """The text of a run, which is all that it needs; `report` and `warn` as of `prepare`.

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


def _restore_text(run: Run, prepared: Prepared, *, report: Report) -> None:
    """Write again what a run keeps of its text, if that is still the text of its training.

    Raises:
        UserError: it is another.
    """
    record, text = run.record(), prepared.split("train")
    if (text.hash, prepared.tokenizer.hash) != (record.sheet.text, record.sheet.tokenizer):
        raise UserError(
            f"{run.path} lost its tokenizer or counts, which cannot be restored as its text has "
            "changed: bring the old one back, or start again with --force"
        )
    run.keep_text(prepared.tokenizer, counts_file(text.token_counts()))
    report(Message(text=f"restored {run.tokenizer_file.name} and {run.counts_file.name}"))


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A step whose loss may still be on its way."""

    before: Spent
    after: Spent
    rate: float
    loss: Tensor
    norm: Tensor
    validation: float | None
    parts: list[int] | None


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
        self.config, self.run, self.report = config, run, report
        self.device, self.vocab, self.text = device, prepared.vocab, prepared.split("train")
        if config.runtime.threads is not None:
            torch.set_num_threads(config.runtime.threads)
        devices.keep_freed_memory()
        devices.keep_compiled_products()
        net = Backbone(config.model, vocab_size=self.vocab.size, seed=config.seed)
        self.record = self._identify(prepared, net, arm)
        self.net = net.to(self.device)
        dtype = devices.DTYPES[self.record.precision]
        self.optimizer = Optimizer(self.net, config.optimizer, dtype=dtype)
        self._pass: Callable[[View], Tensor] = self._forward_and_backward
        if config.runtime.compiles(self.device.type, config.model.width):
            self.net.compile_layers()
        elif self.device.type == "cuda":
            self._pass = Replayed(self._forward_and_backward)
        self.micro_batch = config.runtime.micro_batch or devices.rows_at_once(
            self.device, rows=config.batch.rows, length=config.batch.length
        )
        self.validation = (
            self._validation_view(prepared.split("validation"))
            if config.validation.times > 0
            else None
        )
        self.spent = Spent()
        self.validated: float | None = None
        self._unread: list[_Taken] = []
        self._take_up()

    def say(self, text: str, *, warning: bool = False) -> None:
        self.report(Message(text=text, warning=warning))

    def _identify(self, prepared: Prepared, net: Backbone, arm: str) -> RunRecord:
        """Write `run.json`, or check that the one there is of the same run."""
        sheet = control_sheet(self.config, prepared, net)
        counts = counts_file(self.text.token_counts())
        if self.run.record_file.exists():
            record = self.run.record()
            if not is_run_of(record, self.config, prepared):
                raise UserError(
                    f"{self.run.path} holds the run of another configuration or text: choose "
                    "another place"
                )
            for fact, words in ControlSheet.FACTS.items():
                if getattr(record.sheet, fact) != getattr(sheet, fact):
                    raise UserError(
                        f"the {words} of {self.run.path} has changed since the run began: "
                        "bring the old one back, or start again with --force"
                    )
            precision, rate = devices.choose_precision(record.precision, self.device)
        else:
            precision, rate = devices.choose_precision(self.config.runtime.precision, self.device)
            record = RunRecord(
                arm=arm,
                given=self.config.given,
                config=self.config,
                identity=self.config.identity,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                text=prepared.description,
                text_hash=prepared.hash,
                device=devices.device_name(self.device),
                precision=precision,
                threads=torch.get_num_threads(),
                git_commit=provenance.git_commit(),
                versions=provenance.library_versions(),
                num_parameters=sum(p.numel() for p in net.parameters()),
                matmul_rate=rate,
                sheet=sheet,
                counts=files.checksum_of(counts),
            )
            record.write(self.run.record_file)
        if self.run.lacks_text():  # killed right after `run.json`, or lost since
            self.run.keep_text(prepared.tokenizer, counts)
        self.matmul_rate = rate
        self.say(
            f"{record.num_parameters:,} parameters, {precision} on "
            f"{devices.device_name(self.device)}, "
            f"which multiplies {rate / 1e9:,.0f} GFLOP/s"
        )
        if torch.get_num_threads() != record.threads and self.run.last_metrics() is not None:
            self.say(
                f"this session has {torch.get_num_threads()} threads and the run began with "
                f"{record.threads}: its numbers will agree to rounding only",
                warning=True,
            )
        return record

    def _validation_view(self, split: Split) -> list[View]:
        """The same blocks under the same corruption for every run of a seed and objective."""
        batch = self.config.batch
        num_blocks = min(split.num_blocks(batch.length), self.config.validation.blocks)
        chosen = np.linspace(0, split.num_blocks(batch.length) - 1, num_blocks).astype(np.int64)
        text = split.blocks(
            chosen, length=batch.length, separate_documents=batch.separate_documents
        )
        view = self.config.objective.corrupt(text, self.vocab, rng.generator("validation"))
        return pieces(view, self.micro_batch, self.device)

    def _take_up(self) -> None:
        """Go back to the last good checkpoint, if there is one."""
        read: Mapping[int, str] | None = {}
        found = checkpoints.latest(
            self.run.checkpoints,
            run=self.run.hash,
            warn=lambda text: self.say(text, warning=True),
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
            self.optimizer.restore(found.optimizer())
            self.spent, self.validated = found.record.spent, found.record.validation
            self.say(f"going on from step {self.spent.steps}")
        self.read = ReadSoFar(read)
        self.pace = Pace(metrics.lines())
        last = metrics.last()
        if (0 if last is None else last.step) != self.spent.steps:
            raise UserError(
                f"{self.run.metrics_file} lacks the steps before the checkpoint of step "
                f"{self.spent.steps}: bring it back, or start the run again with --force"
            )

    def go_on(self, should_stop: Callable[[], bool]) -> DoneRecord:
        """Train from where the run stands to its end."""
        budget, saved = self.config.budget, self.spent.steps
        folder = self.run.tensorboard if self.config.runtime.tensorboard else None
        with Board(folder, step=self.spent.steps) as board, self._batches() as batches:
            while budget.progress(self.spent) < 1:
                stopped = not self._step(batches, should_stop)
                over = budget.progress(self.spent) >= 1
                due = over or self.spent.steps - saved >= self.config.runtime.save_every
                if due or len(self._unread) >= devices.steps_unread(self.device):
                    self._write(board)
                if due:
                    self._save()
                    saved = self.spent.steps
                if (stopped or should_stop()) and not over:
                    self._write(board)
                    self._save()
                    raise Interrupted(f"stopped at step {self.spent.steps}, which is saved")
        done = DoneRecord(
            spent=self.spent,
            loss=self._final_loss(),
            validation=self.validated,
            wall_seconds=perf_counter() - self.start,
            peak_memory=devices.peak_memory(self.device),
            undisturbed_seconds=self.pace.undisturbed_seconds,
            manifest=self._manifest(),
        )
        done.write(self.run.done_file)
        return done

    def _final_loss(self) -> float:
        """Mean over the last tenth of the steps, nats a target."""
        losses = [line.loss for line in self.run.metrics() if line.step > 0.9 * self.spent.steps]
        return sum(losses) / len(losses)

    def _batches(self) -> Batches:
        reader = Reader(
            config=self.config,
            text=self.text,
            vocab=self.vocab,
            micro_batch=self.micro_batch,
            device=self.device,
        )
        budget, ahead = self.config.budget, devices.prepares_ahead(self.device)
        return Batches(
            reader,
            ahead=lambda spent: ahead and budget.unit != "seconds" and budget.progress(spent) < 1,
        )

    def _step(self, batches: Batches, should_stop: Callable[[], bool]) -> bool:
        """One update of the weights; `spent` moves on, and what came out waits to be read.

        Returns:
            Whether it was done. If it was stopped between two pieces, all is as before it.
        """
        start, config, before = perf_counter(), self.config, self.spent
        batch = batches(before)
        # before the first step of all there is nothing that a stop could save
        loss = self._backward(batch.pieces, should_stop if before.steps else lambda: False)
        if loss is None:
            return False
        self.read.add(batch.step + 1, batch.tokens)
        reached = batch.after(before, seconds=perf_counter() - start)
        rate = learning_rate(config.optimizer, config.budget.progress(reached))
        norm = self.optimizer.step(rate=rate)
        due = bool(self.validation) and self._validation_is_due(before, reached)
        if due:
            devices.wait(self.device)  # so that its time is not taken for that of training
        self.spent = batch.after(before, seconds=perf_counter() - start)
        validation = self._validate() if due else None
        self._unread.append(
            _Taken(
                before=before,
                after=self.spent,
                rate=rate,
                loss=loss,
                norm=norm,
                validation=validation,
                parts=batch.parts,
            )
        )
        return True

    def _write(self, board: Board) -> None:
        """Read what came out of the steps since the last time, and write it down."""
        taken, self._unread = self._unread, []
        if not taken:
            return
        start = perf_counter()
        read = [(float(step.loss), float(step.norm)) for step in taken]  # waits for the device
        self.spent = self.spent.later(perf_counter() - start)
        each = (self.spent.seconds - taken[0].before.seconds) / len(taken)
        for number, (step, (loss, norm)) in enumerate(zip(taken, read, strict=True), start=1):
            self._require_finite(loss, "loss", step.after.steps)
            self._require_finite(norm, "norm of the gradient", step.after.steps)
            if step.validation is not None:
                self.validated = step.validation
                self._require_finite(self.validated, "validation loss", step.after.steps)
            line = MetricsLine(
                step=step.after.steps,
                tokens=step.after.tokens,
                targets=step.after.targets,
                flops=step.after.flops,
                seconds=self.spent.seconds - (len(taken) - number) * each,
                loss=loss,
                learning_rate=step.rate,
                gradient_norm=norm,
                validation=step.validation,
                parts=step.parts,
            )
            self.run.add_metrics(line)
            self.report(self._progress(line, step.before, seconds=each))
            board.write(line)

    def _backward(self, pieces: list[View], should_stop: Callable[[], bool]) -> Tensor | None:
        """Collect the gradient of a step, a piece at a time; its loss in nats a target.

        None if it was stopped, which only what is saved may follow.
        """
        self.net.train()
        total = torch.zeros((), device=self.device)
        try:
            for number, piece in enumerate(pieces):
                if number and should_stop():
                    return None
                total += self._pass(piece.to(self.device))
        except torch.OutOfMemoryError:
            raise UserError(
                f"the memory of {devices.device_name(self.device)} is too small for "
                f"{self.micro_batch} rows of {self.config.batch.length} tokens at once: give it "
                "fewer with -s runtime.micro_batch=..."
            ) from None
        return total

    def _forward_and_backward(self, view: View) -> Tensor:
        loss: Tensor = self.net(view)
        loss.backward()
        self.optimizer.collect()
        return loss.detach()

    def _validation_is_due(self, before: Spent, after: Spent) -> bool:
        times = self.config.validation.times
        now, then = (self.config.budget.progress(spent) for spent in (after, before))
        return int(min(now, 1.0) * times) > int(then * times)

    @torch.no_grad()
    def _validate(self) -> float:
        """Loss on the validation text, nats a target."""
        self.net.eval()
        total = torch.zeros((), device=self.device)
        with self.optimizer.averaged():
            for piece in self.validation or []:
                total += self.net(piece.to(self.device))
        return float(total)

    def _progress(self, line: MetricsLine, before: Spent, *, seconds: float) -> Progress:
        after, budget = line.spent, self.config.budget
        share = min(budget.progress(after), 1.0)
        gained = budget.progress(after) - budget.progress(before)
        return Progress(
            line=line,
            share=share,
            tokens_per_second=(after.tokens - before.tokens) / seconds,
            seconds_left=(1 - share) / gained * seconds if gained > 0 else math.inf,
            disturbed=self.pace.add(line),
            utilisation=(after.flops - before.flops) / seconds / self.matmul_rate,
        )

    def _require_finite(self, value: float, what: str, step: int) -> None:
        if math.isfinite(value):
            return
        found = checkpoints.latest(self.run.checkpoints, run=self.run.hash, warn=lambda _: None)
        kept = "no checkpoint was saved yet"
        if found is not None:
            kept = f"the last good checkpoint, of step {found.record.spent.steps}, is kept"
        raise UserError(
            f"the {what} became {value} at step {step} of {self.run.path}, and {kept}: "
            "try a lower optimizer.learning_rate or a longer optimizer.warmup"
        )

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
        parts = {
            checkpoints.MODEL: self.optimizer.weights(),
            checkpoints.OPTIMIZER: self.optimizer.state(),
        }
        average = self.optimizer.averaged_weights()
        if average is not None:
            parts[checkpoints.AVERAGE] = average
        checkpoints.save(
            self.run.checkpoints,
            parts,
            spent=self.spent,
            validation=self.validated,
            keep=self.config.runtime.keep,
            manifest=self._manifest(),
        )
