"""Fine-tuning: a copy of a model and a linear head learn from labelled examples.

The head reads states of clean text as the model's objective reads it. It starts at zero, and the
search is the same for all objectives: a few learning rates, of which validation examples choose
one; so many steps of AdamW, warmed up and decayed linearly (Mosbach et al. 2021,
https://arxiv.org/abs/2006.04884), in the precision that the model was trained in; it is asked in
float32. The same head on the states of the unchanged model is a probe.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmcompare import rng
from lmcompare.data import Encoded
from lmcompare.errors import Unsupported
from lmcompare.hardware import DTYPES
from lmcompare.heldout import Subject
from lmcompare.model import Backbone
from lmcompare.optim import Optimizer, OptimizerConfig, learning_rate
from lmcompare.task_records import LEARNING_RATE, STATES_OF, VALIDATION_AT
from lmcompare.view import View
from lmcompare.windows import Window, stack

RATES = (3e-4, 1e-3, 3e-3)  # of fine-tuning
PROBE_RATES = (1e-3, 1e-2, 1e-1)  # of a head alone
BATCH = 16  # rows of a step
EPOCHS, FEWEST_STEPS, MOST_STEPS = 10, 60, 500  # so many epochs, but steps between these
POOL = 20  # batches that are sorted by length together, so that little is padded

Pooling = Literal["mean", "last"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A text, and what is to be known of it.

    Attributes:
        document: its tokens, without the start token; at least one, at most a row's.
        places: whose states the head reads, in their order; 0 is the start token.
        target: what it has to say of them.
    """

    document: Encoded
    places: Sequence[int]
    target: Sequence[int] = ()


Outputs = list[Float[Tensor, "K O"]]  # of each row: of its places, or of all of them together


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is to be learned.

    Attributes:
        name: of the task.
        train: rows to learn from.
        validation: rows that choose the learning rate.
        num_outputs: of the head.
        pools: the head reads the mean of a row's states, instead of each of them.
        loss: of the head's outputs for some rows, a mean in nats.
        judge: how good the outputs for the validation rows are; more is better.
    """

    name: str
    train: Sequence[Row]
    validation: Sequence[Row]
    num_outputs: int
    pools: bool
    loss: Callable[[Outputs, Sequence[Row]], Float[Tensor, ""]]
    judge: Callable[[Outputs], float]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What has learned: a head, and a model that may be another than it was."""

    model: "_Model"
    settings: dict[str, str | float]

    def outputs(self, rows: Sequence[Row]) -> Outputs:
        """The head's outputs for each row, on the CPU; they do not depend on the other rows."""
        return _outputs(self.model, rows)


def joined(parts: Sequence[Encoded], subject: Subject) -> Encoded:
    """Texts that are read one after another, an end token between them, or alone if there is none.

    The end token covers no bytes.
    """
    end = _special([subject.tokenizer.vocab.eos])
    between = [each for part in parts if len(part) for each in (end, part)]
    return Encoded.join(between[1:] or [end])


def _special(ids: list[int]) -> Encoded:
    return Encoded(
        ids=np.array(ids, dtype=np.int32),
        bytes=np.zeros(len(ids), dtype=np.int32),
        starts_word=np.ones(len(ids), dtype=bool),
    )


def room(subject: Subject) -> int:
    """Tokens of the rows that a model was trained on, beside the start token."""
    return subject.record.config.batch.length - 1


def pooling(subject: Subject) -> Pooling:
    """How a text's states become one: their mean if each has seen all of the text, else the last.

    What a source shows to all alike does not count: the last token that is written has seen all of
    both (Lewis et al. 2020, BART, section 3.1).

    Raises:
        Unsupported: not even the last one has.
    """
    sees = _example(subject).sees()[0, 1:, 1:]
    if sees.all():
        return "mean"
    if sees[-1].all():
        return "last"
    raise Unsupported(f"no token of {subject.objective.name} has seen all of a text")


def reader(subject: Subject) -> Mapping[str, str]:
    """Which part of the model the states are from, where it has two; for a record's settings."""
    if not subject.objective.encodes:
        return {}
    encoder = _example(subject).source is None
    return {STATES_OF: "the encoder" if encoder else "the decoder"}


def _example(subject: Subject) -> View:
    """How five tokens are read."""
    vocab = subject.tokenizer.vocab
    window = Window(document=0, start=0, stop=5, first=0, last=5)
    text, _ = stack([window], [_special(vocab.regular[:5].tolist())], vocab)
    return subject.objective.read(text, vocab)


def tune(subject: Subject, lesson: Lesson, *, report: Callable[[float], None]) -> Tuned:
    """Teach a copy of a model.

    Args:
        subject: whose model stays as it is.
        lesson: what to learn.
        report: told the share that is done, 0 to 1.
    """

    def start() -> _Model:
        return _Model(_Reading(subject, deepcopy(subject.net), pools=lesson.pools), lesson)

    return _chosen(lesson, RATES, start, report, reader(subject))


def probe(subject: Subject, lesson: Lesson, *, report: Callable[[float], None]) -> Tuned:
    """Teach a head what the states of an unchanged model say; as `tune`.

    The states are standardised over the training rows, as means of many vary less than one.
    """
    kept = _Kept(_Reading(subject, subject.net, pools=lesson.pools), lesson.train)
    return _chosen(lesson, PROBE_RATES, lambda: _Model(kept, lesson), report, reader(subject))


def num_steps(num_rows: int) -> int:
    """Of learning from so many rows."""
    return min(max(EPOCHS * -(-num_rows // BATCH), FEWEST_STEPS), MOST_STEPS)


def batches(rows: Sequence[Row], *, name: str) -> Iterator[list[Row]]:
    """Rows in random order without end, each once an epoch, those of one batch about as long.

    Args:
        rows: to learn from.
        name: of the task; it, the number of rows and their bytes decide the order.
    """
    sizes = [int(row.document.bytes.sum()) for row in rows]
    epoch = 0
    while True:
        draws = rng.generator("tuning", name, len(rows), epoch)
        order = torch.randperm(len(rows), generator=draws).tolist()
        found = []
        for start in range(0, len(rows), POOL * BATCH):
            pool = sorted(order[start : start + POOL * BATCH], key=sizes.__getitem__)
            found += [pool[first : first + BATCH] for first in range(0, len(pool), BATCH)]
        for number in torch.randperm(len(found), generator=draws).tolist():
            yield [rows[each] for each in found[number]]
        epoch += 1


class _Reading(nn.Module):
    """States as the objective reads a text."""

    def __init__(self, subject: Subject, net: Backbone, *, pools: bool):
        super().__init__()
        self.net = net
        self.rows_at_once = net.rows_at_once
        self.dtype = DTYPES[subject.record.precision]  # to learn in
        self.pools = pools
        self._read = partial(subject.objective.read, vocab=subject.tokenizer.vocab)
        self._vocab = subject.tokenizer.vocab

    def forward(self, rows: Sequence[Row]) -> list[Float[Tensor, "K D"]]:
        """The states of each row's places, or their mean."""
        whole = [
            Window(document=number, start=0, stop=len(row.document), first=0, last=0)
            for number, row in enumerate(rows)
        ]
        text, wanted = stack(whole, [row.document for row in rows], self._vocab)
        for number, row in enumerate(rows):
            wanted[number, list(row.places)] = True
        device = self.net.device
        states = self.net.states(self._read(text).to(device), wanted=wanted.to(device))
        parts = list(states.split([len(row.places) for row in rows]))
        return [part.mean(0, keepdim=True) for part in parts] if self.pools else parts


class _Kept:
    """States of a model that does not change, each computed once."""

    dtype = torch.float32

    def __init__(self, reading: _Reading, train: Sequence[Row]):
        self._reading = reading
        self._known: dict[Row, Float[Tensor, "K D"]] = {}
        states = torch.cat(self._raw(train))
        self._mean = states.mean(0)
        self._scale = states.std(0, correction=0) + 1e-5

    def __call__(self, rows: Sequence[Row]) -> list[Float[Tensor, "K D"]]:
        return [(each - self._mean) / self._scale for each in self._raw(rows)]

    def _raw(self, rows: Sequence[Row]) -> list[Float[Tensor, "K D"]]:
        new = [row for row in rows if row not in self._known]
        if new:
            self._known |= zip(new, _outputs(self._reading, new), strict=True)
        return [self._known[row] for row in rows]


class _Model(nn.Module):
    """A head on states."""

    def __init__(self, states: _Reading | _Kept, lesson: Lesson):
        super().__init__()
        self.states = states
        net = states.net if isinstance(states, _Reading) else states._reading.net
        self.rows_at_once = net.rows_at_once
        self.head = nn.Linear(net.config.width, lesson.num_outputs, device=net.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, rows: Sequence[Row]) -> Outputs:
        parts = [part.to(self.head.weight.device) for part in self.states(rows)]
        outputs: Tensor = self.head(torch.cat(parts)).float()
        return list(outputs.split([len(part) for part in parts]))


def _chosen(
    lesson: Lesson,
    rates: Sequence[float],
    start: Callable[[], _Model],
    report: Callable[[float], None],
    about: Mapping[str, str],
) -> Tuned:
    """What learned best, by the validation rows; of equals, what is surer of the truth there."""
    best: tuple[tuple[float, float], float, _Model] | None = None
    settings: dict[str, str | float] = {**about}
    for number, rate in enumerate(rates):
        model = start()
        for share in _learn(model, lesson, rate):
            report((number + share) / len(rates))
        outputs = _outputs(model, lesson.validation)
        with torch.no_grad():
            merit = lesson.judge(outputs), -float(lesson.loss(outputs, lesson.validation))
        settings[f"{VALIDATION_AT}{rate:g}"] = merit[0]
        if best is None or merit > best[0]:
            best = merit, rate, model
    assert best is not None
    model = best[2].eval()
    settings |= {
        LEARNING_RATE: best[1],
        "steps": float(num_steps(len(lesson.train))),
        "learned in": str(model.states.dtype).removeprefix("torch."),
    }
    return Tuned(model=model, settings=settings)


def _learn(model: _Model, lesson: Lesson, rate: float) -> Iterator[float]:
    """Learn step by step; gives the share that is done."""
    config = OptimizerConfig(
        learning_rate=rate, schedule="linear", warmup=0.1, final=0, weight_decay=0.01, beta2=0.999
    )
    optimizer = Optimizer(model, config, dtype=model.states.dtype)
    total = num_steps(len(lesson.train))
    given = batches(lesson.train, name=lesson.name)
    for step in range(1, total + 1):
        rows = next(given)
        lesson.loss(model(rows), rows).backward()
        optimizer.collect()
        optimizer.step(rate=learning_rate(config, step / total))
        yield step / total
    for name, weight in optimizer.weights().items():
        model.get_parameter(name).data = weight  # in float32


@torch.no_grad()
def _outputs(model: _Reading | _Model, rows: Sequence[Row]) -> Outputs:
    """What a model says of each row, on the CPU, in the order of the rows."""
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number].document))
    found: dict[int, Tensor] = {}
    start = 0
    while start < len(order):
        size = model.rows_at_once(1 + len(rows[order[start]].document))
        some = order[start : start + size]
        parts = model([rows[number] for number in some])
        found |= {number: part.cpu() for number, part in zip(some, parts, strict=True)}
        start += size
    return [found[number] for number in range(len(rows))]
