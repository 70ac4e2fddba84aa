"""Timing a model: rounds in which it writes one text, writes many, and reads many, in turn.

What is timed takes turns, so that what else the machine does falls on all of it alike. The rounds
that were far slower than the best ones are left out where they are many
(`lmcompare.runs.contention`), and counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from lmcompare import devices
from lmcompare.data import Encoded
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.generation.record import ROWS_TOGETHER
from lmcompare.evaluation.generation.throughput import filled_up, write_rows
from lmcompare.evaluation.kind import Report, not_measured_again
from lmcompare.evaluation.speed.options import SpeedOptions
from lmcompare.evaluation.speed.record import (
    Pacing,
    SpeedItem,
    SpeedRecord,
    Timed,
)
from lmcompare.generation.flop_counter import Meter
from lmcompare.generation.prompts import Request, TextWithHoles, row_to_continue
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs import contention
from lmcompare.runs.loaded_model import Contestant, LoadedModel, opened
from lmcompare.view import Text, View

FEWEST = 3  # rounds that there are, however long they take
SECONDS = 8.0  # after which no further round begins


def measure_speed(
    contestant: Contestant,
    options: SpeedOptions,
    *,
    cache: Path,
    report: Report = lambda what, share: None,
    warn: Callable[[str], None] = lambda text: None,
) -> SpeedRecord:
    """Time a model, and keep what that gives; what was timed before on this machine is not again.

    Raises:
        UserError: no checkpoint, an unreadable text, or rows of training that were too short.
    """
    model = opened(contestant, device=options.device, batch_size=options.batch_size, warn=warn)
    require_length(model.path, model.length, options)
    pieces = _pieces(model, options, cache=cache, warn=warn)
    facts = {
        "source": options.source,
        "text": _digest(pieces, options),
        "step": model.step,
        "device": devices.device_name(model.net.device),
        "threads": torch.get_num_threads(),
    }
    for known in not_measured_again(
        model.results, SpeedRecord, facts, again=options.again, warn=warn
    ):
        return known
    timed = _Timed(model, pieces, options)
    timed.measure(report)
    record = SpeedRecord(
        **facts,
        arm=model.arm,
        seed=model.seed,
        prompt_tokens=options.prompt_tokens,
        new_tokens=options.new_tokens,
        precision="float32",  # as all models are read to be measured
        method=timed.method,
        reason=timed.reason,
        passes_per_token=timed.passes_per_token,
        alone=timed.pacing("alone", options.new_tokens),
        together=timed.pacing("together", ROWS_TOGETHER * options.new_tokens),
        reading=_known(timed.pacing("reading", ROWS_TOGETHER)),
    )
    return model.results.write(record, timed.items)


def require_length(path: Path, length: int, options: SpeedOptions) -> None:
    """Make sure that a model's rows were long enough.

    Raises:
        UserError: they were not.
    """
    wanted = 1 + options.prompt_tokens + options.new_tokens
    if wanted > length:
        raise UserError(
            f"{path} was trained on rows of {length} tokens, and {options.prompt_tokens} of a "
            f"prompt, {options.new_tokens} new ones and the start token are {wanted}: choose fewer "
            "(`prompt_tokens=`, `new_tokens=`)"
        )


def _pieces(
    model: LoadedModel, options: SpeedOptions, *, cache: Path, warn: Callable[[str], None]
) -> list[Encoded]:
    length = options.prompt_tokens + options.new_tokens
    documents = heldout_text.documents(model, options, cache=cache, warn=warn)
    found = heldout_text.pieces(documents, model.tokenizer, length, shortest=length)
    pieces = list(islice(found, ROWS_TOGETHER))
    if not pieces:
        raise UserError(
            f"{options.source} has no document with {length} known tokens in a row to time: choose "
            "another text with `data=` or `split=`, or fewer `prompt_tokens=` or `new_tokens=`"
        )
    return pieces


def _digest(pieces: Sequence[Encoded], options: SpeedOptions) -> str:
    border = np.array([options.prompt_tokens, options.new_tokens])
    return heldout_text.digest([border, *(piece.ids for piece in pieces)])


def _known(pacing: Pacing | None) -> Pacing:
    assert pacing is not None, "every model reads"
    return pacing


@dataclass
class _Timed:
    """A model that is timed, and what that gave so far."""

    model: LoadedModel
    pieces: Sequence[Encoded]
    options: SpeedOptions
    method: str | None = None
    reason: str | None = None
    passes_per_token: float | None = None
    items: list[SpeedItem] = field(default_factory=list)

    def measure(self, report: Report) -> None:
        """Time all rounds, after one that warms up and is not timed."""
        view = self._read()
        parts: dict[Timed, Callable[[], None]] = {"reading": lambda: self._reads(view)}
        try:
            self.method = self.model.objective.choose_decoding_method(
                None, Sampler(), holes="end", any_length=False
            )
            self._count_passes()
            parts |= {"alone": lambda: self._writes(1), "together": self._writes_together}
        except Unsupported as reason:
            self.method, self.reason = None, str(reason)
        for part in parts.values():
            part()
        begun = perf_counter()
        for number in range(self.options.rounds):
            if number >= FEWEST and perf_counter() - begun > SECONDS:
                break
            for timed, part in parts.items():
                start = perf_counter()
                part()
                seconds = perf_counter() - start
                self.items.append(SpeedItem(round=number, timed=timed, seconds=seconds))
            report("speed", (number + 1) / self.options.rounds)
        report("speed", 1.0)

    def pacing(self, timed: Timed, amount: float) -> Pacing | None:
        """Return how much of something was done a second; None if it was not timed.

        Args:
            timed: what was.
            amount: that is done in each round.
        """
        seconds = np.array([each.seconds for each in self.items if each.timed == timed])
        if not len(seconds):
            return None
        slow = contention.disturbed(seconds)
        speeds = amount / seconds[~slow]
        low, median, high = np.quantile(speeds, [0.25, 0.5, 0.75]).tolist()
        return Pacing(
            median=median, low=low, high=high, num_rounds=len(speeds), num_disturbed=int(slow.sum())
        )

    @property
    def _request(self) -> Request:
        return Request(prompts=(), sampler=Sampler(), method=self.method)

    def _rows(self, num: int) -> list[TextWithHoles]:
        border = self.options.prompt_tokens
        rows = [
            row_to_continue(
                piece.ids[:border].tolist(),
                self.options.new_tokens,
                self.model.tokenizer.vocab,
                prompt=number,
            )
            for number, piece in enumerate(self.pieces[:num])
        ]
        return rows if num == 1 else filled_up(rows)

    def _count_passes(self) -> None:
        """Write one text, and count the passes through the network; raise `Unsupported`."""
        meter = Meter(self.model.net)
        write_rows(meter, self.model, self._rows(1), self._request)
        self.passes_per_token = meter.cost.passes / self.options.new_tokens

    def _writes(self, num: int) -> None:
        written = write_rows(self.model.net, self.model, self._rows(num), self._request)
        written.token.tolist()  # waits for the device

    def _writes_together(self) -> None:
        self._writes(ROWS_TOGETHER)

    def _read(self) -> View:
        """Return as many clean texts as are written together, as the model reads them."""
        vocab = self.model.tokenizer.vocab
        num = len(self.pieces)
        ids = [self.pieces[each % num].ids.tolist() for each in range(ROWS_TOGETHER)]
        tokens = torch.tensor([[vocab.bos, *each] for each in ids])
        text = Text(
            tokens=tokens,
            visible=torch.ones_like(tokens, dtype=torch.bool),
            word=torch.arange(tokens.shape[1]).expand_as(tokens),
        )
        return self.model.objective.read(text, vocab).to(self.model.net.device)

    @torch.no_grad()
    def _reads(self, view: View) -> None:
        float(self.model.net.states(view).flatten()[-1])  # waits for the device
