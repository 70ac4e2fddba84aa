"""`run.json` as training begins it, and as a later session finds it."""

from datetime import UTC, datetime

import torch

from lmcompare import devices, files
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared
from lmcompare.errors import UserError
from lmcompare.model import Backbone
from lmcompare.runs import provenance
from lmcompare.runs.records import ControlSheet, RunRecord
from lmcompare.runs.run import Run, counts_file
from lmcompare.runs.training_text import is_run_of
from lmcompare.training.control_sheet import control_sheet
from lmcompare.training.events import Message, Report
from lmcompare.training.start import GivenWeights


def begin_record(
    run: Run,
    config: RunConfig,
    prepared: Prepared,
    net: Backbone,
    device: torch.device,
    *,
    arm: str,
    report: Report,
    start: GivenWeights | None = None,
) -> tuple[RunRecord, float]:
    """Write `run.json`, or check that the one there is of the same run.

    Args:
        run: where it lives.
        config: of the run.
        prepared: its text.
        net: with its initial weights, on the processor.
        device: that it is trained on.
        arm: its name in tables.
        report: told how large the model is and how fast the device.
        start: whose weights it starts from; None for new ones.

    Returns:
        The record, and the rate of matrix products on this device, operations a second.

    Raises:
        UserError: another run lies there, or what the run reads has changed since it began.
    """
    sheet = control_sheet(config, prepared, net)
    counts = counts_file(prepared.split("train").token_counts())
    if run.record_file.exists():
        record = run.record()
        _require_same(run, record, config, prepared, sheet, start)
        precision, rate = devices.choose_precision(record.precision, device)
    else:
        precision, rate = devices.choose_precision(config.runtime.precision, device)
        record = RunRecord(
            arm=arm,
            given=config.given,
            config=config,
            identity=config.identity,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            text=prepared.description,
            text_hash=prepared.hash,
            device=devices.device_name(device),
            precision=precision,
            threads=torch.get_num_threads(),
            git_commit=provenance.git_commit(),
            versions=provenance.library_versions(),
            num_parameters=sum(p.numel() for p in net.parameters()),
            matmul_rate=rate,
            sheet=sheet,
            counts=files.checksum_of(counts),
            start=None if start is None else start.record,
        )
        if start is not None:
            start.keep(run)
        record.write(run.record_file)
    if run.lacks_text():  # killed right after `run.json`, or lost since
        run.keep_text(prepared.tokenizer, counts)
    name = devices.device_name(device)
    text = (
        f"{record.num_parameters:,} parameters, {precision} on {name}, "
        f"which multiplies {rate / 1e9:,.0f} GFLOP/s"
    )
    report(Message(text=text))
    _compare_threads(run, record, report)
    return record, rate


def restore_text(run: Run, prepared: Prepared, *, report: Report) -> None:
    """Write again what a run keeps of its text, if the text is still that of its training.

    Raises:
        UserError: it has changed.
    """
    record, text = run.record(), prepared.split("train")
    if (text.hash, prepared.tokenizer.hash) != (record.sheet.text, record.sheet.tokenizer):
        raise UserError(
            f"{run.path} lost its tokenizer or counts, which cannot be restored as its text has "
            "changed: bring the old one back, or start again with `again=True`"
        )
    run.keep_text(prepared.tokenizer, counts_file(text.token_counts()))
    report(Message(text=f"restored {run.tokenizer_file.name} and {run.counts_file.name}"))


def _require_same(
    run: Run,
    record: RunRecord,
    config: RunConfig,
    prepared: Prepared,
    sheet: ControlSheet,
    start: GivenWeights | None,
) -> None:
    """Make sure that a record is of this configuration and text.

    Raises:
        UserError: it is not.
    """
    if not is_run_of(record, config, prepared, None if start is None else start.hash):
        raise UserError(
            f"{run.path} holds the run of another configuration or text: choose another place"
        )
    for fact, words in ControlSheet.FACTS.items():
        if getattr(record.sheet, fact) != getattr(sheet, fact):
            raise UserError(
                f"the {words} of {run.path} has changed since the run began: "
                "bring the old one back, or start again with `again=True`"
            )


def _compare_threads(run: Run, record: RunRecord, report: Report) -> None:
    """Warn where a run continues with another number of threads."""
    if torch.get_num_threads() != record.threads and run.last_metrics() is not None:
        text = (
            f"this session has {torch.get_num_threads()} threads and the run began with "
            f"{record.threads}: its numbers will agree to rounding only"
        )
        report(Message(text=text, warning=True))
