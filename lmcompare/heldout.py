"""What every evaluation starts from: a run's last model, and held-out text in an order of its own.

Always in float32, whatever the run was trained in. Which documents come first depends on the text
alone, so all runs that read the same text are asked about the same documents.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from lmcompare import hardware, rng
from lmcompare.budget import Spent
from lmcompare.checkpoints import Checkpoint
from lmcompare.data import (
    DataConfig,
    Encoded,
    Split,
    Tokenizer,
    encode_documents,
    open_corpus,
    shuffled,
)
from lmcompare.errors import UserError
from lmcompare.finding import every_checkpoint, load_checkpoint
from lmcompare.hardware import Precision
from lmcompare.model import Backbone
from lmcompare.objectives import Objective, Protocol
from lmcompare.records import RunRecord
from lmcompare.run_text import text_of
from lmcompare.runs import Run
from lmcompare.view import Text

REPLICATES = 2  # of what is sampled; many texts make the spread between them known
Held = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be scored, and how.

    Attributes:
        split: of the run's own corpus; used where `data` is not given.
        data: another text.
        device: where.
        batch_size: rows of a forward pass; as many as suits the device by default.
        again: measure also what was measured before, on the same text at the same step.
        max_bytes: of a likelihood: score documents until they have this many bytes (the last one is
            cut there); None for all.
        window: of a likelihood: tokens that the model sees at once; as many as it was trained with
            by default.
        stride: of a likelihood: tokens between windows; half a window by default.
        scorings: of a likelihood: which of the objective's ways to score; all by default.
        num_texts: of infilling: texts to hide tokens of, and of generation: texts to go on with;
            fewer where there are not as many.
        length: of infilling: tokens of such a text, beside the start token.
        protocols: of infilling: how several tokens are asked for; in each way that the objective
            has by default.
    """

    split: Held = "validation"
    data: DataConfig | None = None
    device: str = "auto"
    batch_size: int | None = None
    again: bool = False
    max_bytes: int | None = 50_000
    window: int | None = None
    stride: int | None = None
    scorings: tuple[str, ...] = ()
    num_texts: int = 64
    length: int = 32
    protocols: tuple[Protocol, ...] = ()

    @property
    def source(self) -> str:
        """What the text is called."""
        return self.split if self.data is None else ",".join(self.data.names)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A run's last model, and what goes with it."""

    run: Run
    record: RunRecord
    tokenizer: Tokenizer
    net: Backbone
    spent: Spent = field(default_factory=Spent)

    @property
    def step(self) -> int:
        """Of training, after which it is as it is."""
        return self.spent.steps

    @property
    def objective(self) -> Objective:
        """What it was trained with, and is scored by."""
        return self.record.config.objective

    def log_prob(
        self, text: Text, asked: Bool[Tensor, "B T"], scoring: str
    ) -> tuple[Float[Tensor, "B T"], float]:
        """Natural log-probability of each asked token, float64, and the variance of their sum.

        The variance is that of sampling alone, and 0 where nothing is sampled.
        """
        sampled = self.objective.scorings[scoring].sampled
        estimates = torch.stack(
            [
                self.objective.score(
                    self.net,
                    text,
                    self.tokenizer.vocab,
                    asked,
                    scoring=scoring,
                    replicate=replicate,
                ).double()
                for replicate in range(REPLICATES if sampled else 1)
            ]
        )
        variance = float(estimates.sum(2).var(0).sum()) / REPLICATES if sampled else 0.0
        return estimates.mean(0), variance


def load(
    run: Run,
    *,
    device: str,
    warn: Callable[[str], None],
    precision: Precision = "float32",
    batch_size: int | None = None,
) -> Subject:
    """A run's last model.

    Args:
        run: with at least one checkpoint.
        device: where it computes.
        warn: told of a damaged checkpoint that was passed over.
        precision: of its weights, which are saved in float32.
        batch_size: rows that it is asked about at once; as many as suits the device by default.

    Raises:
        UserError: no run, no checkpoint, no such device.
    """
    hardware.choose_device(device)
    subject = _subject(run, load_checkpoint(run, warn=warn), device, batch_size)
    subject.net.to(hardware.DTYPES[precision])
    return subject


def load_every(
    run: Run, *, device: str, warn: Callable[[str], None], batch_size: int | None = None
) -> Iterator[Subject]:
    """The models of all checkpoints of a run that were kept, the oldest first; as `load`.

    Raises:
        UserError: no run, no checkpoint, no such device.
    """
    hardware.choose_device(device)
    for checkpoint in every_checkpoint(run, warn=warn):
        yield _subject(run, checkpoint, device, batch_size)


def _subject(run: Run, checkpoint: Checkpoint, device: str, batch_size: int | None) -> Subject:
    hardware.keep_freed_memory()
    record, tokenizer = run.record(), run.tokenizer()
    net = Backbone(record.config.model, vocab_size=tokenizer.vocab.size)
    net.load_state_dict(checkpoint.weights())
    net.batch_size = batch_size
    return Subject(
        run=run,
        record=record,
        tokenizer=tokenizer,
        net=net.to(hardware.choose_device(device)).eval(),
        spent=checkpoint.record.spent,
    )


def documents(
    subject: Subject, asked: Asked, *, cache: Path, warn: Callable[[str], None]
) -> Iterator[Encoded]:
    """The documents to ask about, in their order; none is empty.

    Raises:
        UserError: the text cannot be read, or is not what the run was trained on.
    """
    return (each for each in _documents(subject, asked, cache, warn) if len(each))


def _documents(
    subject: Subject, asked: Asked, cache: Path, warn: Callable[[str], None]
) -> Iterable[Encoded]:
    if asked.data is not None:
        corpus = open_corpus(*asked.data.names, data=asked.data, cache=cache)
        return encode_documents(corpus.texts(), subject.tokenizer)
    prepared = text_of(subject.run, subject.record, cache=cache, warn=warn)
    split = prepared.split(asked.split)
    # Neighbouring documents are alike: a sample from all over says more than the first ones.
    order = shuffled(np.arange(split.num_documents), num_blocks=split.num_documents, seed=0)
    return (split.document(int(number)) for number in order)


def training_text(
    subject: Subject, *, cache: Path, warn: Callable[[str], None], what: str
) -> Split | None:
    """What a run was trained on; None if that is gone.

    Args:
        subject: of the run.
        cache: folder of prepared corpora.
        warn: told why it is gone.
        what: is not known then.
    """
    try:
        return text_of(subject.run, subject.record, cache=cache, warn=warn).split("train")
    except UserError as error:
        warn(f"{what} is not known: {error}")
        return None


def cut(document: Encoded, start: int, stop: int) -> Encoded:
    """Some of its tokens."""
    return Encoded(
        ids=document.ids[start:stop],
        bytes=document.bytes[start:stop],
        starts_word=document.starts_word[start:stop],
    )


def pieces(
    documents: Iterable[Encoded], tokenizer: Tokenizer, length: int, *, shortest: int
) -> Iterator[Encoded]:
    """A piece of each document, then a second one of each, and so on; none overlaps another.

    Args:
        documents: in the order in which they give pieces.
        tokenizer: says which tokens are text.
        length: tokens of a piece at most.
        shortest: tokens of text that a piece has at least; others are left out.
    """
    going = []
    for number, document in enumerate(documents):
        own = _pieces_of(document, number, tokenizer, length, shortest)
        if (piece := next(own, None)) is not None:
            yield piece
            going.append(own)
    while going:
        first = going.pop(0)
        if (piece := next(first, None)) is not None:
            yield piece
            going.append(first)


def _pieces_of(
    document: Encoded, number: int, tokenizer: Tokenizer, length: int, shortest: int
) -> Iterator[Encoded]:
    """The pieces of a document, in random order."""
    starts = range(0, len(document), length)
    draw = torch.rand(len(starts), generator=rng.generator("pieces", number))
    for place in draw.argsort(stable=True).tolist():
        piece = cut(document, starts[place], starts[place] + length)
        if is_text(piece, tokenizer).sum() >= shortest:
            yield piece


def is_text(document: Encoded, tokenizer: Tokenizer) -> Bool[ndarray, " N"]:
    """Which tokens can be scored: unknown ones are no text."""
    ids = torch.from_numpy(document.ids.astype(np.int64))
    found: ndarray = ~tokenizer.vocab.is_special(ids).numpy()
    return found


def unigram_nats(run: Run, tokenizer: Tokenizer) -> Float[ndarray, " V"]:
    """Minus log-probability of each id by its frequency in the training text, plus one."""
    counts = run.token_counts().astype(np.float64)
    special = tokenizer.vocab.is_special(torch.arange(tokenizer.vocab.size)).numpy()
    counts = np.where(special, 0, counts + 1)
    with np.errstate(divide="ignore"):
        cost: ndarray = -np.log(counts / counts.sum())
    return cost


def digest(parts: Iterable[ndarray]) -> str:
    """A hash of what is asked: of arrays, whose order counts."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(part.astype("<u4").tobytes())
        found.update(b"end")
    return found.hexdigest()
