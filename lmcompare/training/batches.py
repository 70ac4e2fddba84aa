"""What the steps of training read: made when asked for, or one step ahead in a thread of its own.

Everything that a device would have to be asked, or waited for, is found out here: how many targets
there are and where, which positions are keys, what the step costs. A GPU is given round numbers as
sizes, so that what is compiled or recorded for one step serves many.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType

import torch
from torch import Tensor

from lmcompare import devices, rng
from lmcompare.config.budget import Spent
from lmcompare.config.phases import Phase
from lmcompare.config.run import RunConfig
from lmcompare.data import Split, training_text
from lmcompare.model import training_flops
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab

LENGTHS, TARGETS = 32, 256  # on a GPU, sizes are multiples of these


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's reading.

    Attributes:
        step: counted from 0.
        tokens: of the text, before its corruption.
        pieces: of the view, each for one pass; their losses add up.
        cost: what the step adds to what is spent, but for seconds.
        parts: targets of each part of a mixture.
    """

    step: int
    tokens: Tensor
    pieces: list[View]
    cost: Spent
    parts: list[int] | None

    def after(self, spent: Spent, *, seconds: float = 0.0) -> Spent:
        """Return what is spent when it is done."""
        return spent.plus(self.cost).later(seconds)


def text_and_view(
    config: RunConfig, split: Split, vocab: Vocab, *, step: int, phase: Phase, progress: float
) -> tuple[Text, View]:
    """Return the text that a step reads, and what the objective of its phase makes.

    Args:
        config: of the run.
        split: of which text.
        vocab: of its tokens.
        step: of the run, from 0.
        phase: of the run, to which the step belongs.
        progress: the share of the budget that was spent before it, 0 to 1.
    """
    text = training_text(
        split,
        seed=config.seed,
        step=step,
        num_rows=config.batch.rows,
        length=config.batch.length,
        separate_documents=config.batch.separate_documents,
    )
    stream = rng.generator("corruption", config.seed, step)
    return text, phase.objective.corrupt(text, vocab, stream, progress=phase.progress(progress))


@dataclass(frozen=True, kw_only=True)
class BatchReader:
    """What makes the batch of any step."""

    config: RunConfig
    text: Split
    vocab: Vocab
    micro_batch: int  # rows of a piece
    device: torch.device  # that the pieces are for

    def __call__(self, spent: Spent) -> Batch:
        """Return the batch of the step that follows when this much is spent."""
        config, step = self.config, spent.steps
        progress = min(config.budget.progress(spent), 1.0)
        text, view = text_and_view(
            config,
            self.text,
            self.vocab,
            step=step,
            phase=config.phase_after(spent),
            progress=progress,
        )
        return Batch(
            step=step,
            tokens=text.tokens,
            pieces=pieces(view, self.micro_batch, self.device),
            cost=Spent(
                steps=1,
                tokens=config.batch.rows * (config.batch.length - 1),
                targets=view.num_targets,
                flops=training_flops(config.model, self.vocab.size, view),
            ),
            parts=view.num_targets_of_parts,
        )


def pieces(view: View, num_rows: int, device: torch.device) -> list[View]:
    """Cut a view into pieces of at most `num_rows` rows, ready for `device`."""
    split = list(view.split(num_rows))
    if device.type == "cpu":
        return split
    return [devices.pinned(rounded(piece), device) for piece in split]


def rounded(view: View) -> View:
    """Return a view of the same loss whose sizes are round numbers."""
    longer = view.padded(_up(view.tokens.shape[1], LENGTHS))
    if view.source is not None:
        longer = replace(longer, source=rounded(view.source))
    # What is padded sees what the last position sees, and must not spoil the pattern of any other.
    exact = view.hint == "full"  # all keys are seen, so there may be no more of them
    longer.__dict__.update(
        hint=view.hint,
        num_keys=view.num_keys if exact else _up(view.num_keys, LENGTHS),
        targets=longer.filled_targets(TARGETS),
    )
    return longer


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


class Batches:
    """The batches of a run, in order; where `ahead`, each is made during the step before it.

    Under a budget of seconds, how far the run will be is not known ahead.
    """

    def __init__(self, read: Callable[[Spent], Batch], *, ahead: Callable[[Spent], bool]):
        self._read, self._ahead = read, ahead
        self._thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        self._coming: Future[Batch] | None = None

    def __enter__(self) -> "Batches":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def __call__(self, spent: Spent) -> Batch:
        """Return the batch of the step that follows when this much is spent."""
        batch = self._read(spent) if self._coming is None else self._coming.result()
        assert batch.step == spent.steps
        after = batch.after(spent)
        self._coming = self._thread.submit(self._read, after) if self._ahead(after) else None
        return batch
