"""Text written by a run's model: what stands after a prompt, or in its holes.

Each sample has random numbers of its own, a function of the seed, of its prompt's number and of its
own alone, so that it is the same text whatever it is written beside.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from lmcompare.data import Tokenizer
from lmcompare.generation.flop_counter import Cost, Meter
from lmcompare.generation.prompts import Request, TextWithHoles, batches, fill_request, rows_of
from lmcompare.objectives.decoding.fill_request import DecodeStep, FillRequest, FillResult
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.vocab import Vocab


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A text that was written.

    Attributes:
        prompt: which one, from 0.
        number: which of its samples, from 0.
        text: all of it.
        written: what was written, hole by hole.
        num_tokens: how many were written.
        tokens: ids of all of it; written ones are those where `is_written`.
        is_written: which ones were.
    """

    prompt: int
    number: int
    text: str
    written: tuple[str, ...]
    num_tokens: int
    tokens: tuple[int, ...]
    is_written: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class GenerationBatch:
    """Texts that are written together, as they were before: for those who watch.

    Attributes:
        samples: prompt and number of each.
        tokens: of each text, with the mask in its holes.
        holes: which tokens are to be written.
        any_length: whether a hole is one token here, and any number of them later.
    """

    samples: list[tuple[int, int]]
    tokens: list[list[int]]
    holes: list[list[bool]]
    any_length: bool


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was written, in the order of prompts and samples, and what it took."""

    samples: list[Sample]
    cost: Cost
    seconds: float


def generate(
    model: LoadedModel,
    request: Request,
    *,
    on_step: Callable[[GenerationBatch], Callable[[DecodeStep], None]] | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Generated:
    """Write what is asked for.

    Args:
        model: the model.
        request: what is asked for.
        on_step: given each batch of texts before they are written, who is told of its steps.
        warn: told of prompts that are too long and were cut on their left.

    Raises:
        UserError: an unreadable prompt, or one too long; settings that do not fit.
        Unsupported: the objective cannot write there, or not so.
    """
    rows = [*rows_of(model, request, warn)]
    net, vocab = Meter(model.net), model.tokenizer.vocab
    start, samples = perf_counter(), []
    for batch in batches(rows, request.rows):
        filling = fill_request(batch, request, vocab)
        if on_step is not None:
            filling = replace(filling, on_step=on_step(_as_begun(batch, filling, vocab)))
        if request.stop and batch[0].kind.holes == "end":
            should_stop = _Stop(model.tokenizer, request.stop).reached
            filling = replace(filling, should_stop=should_stop)
        written = model.objective.fill(net, filling, vocab)
        samples += [
            _sample(row, written, number, model.tokenizer, request)
            for number, row in enumerate(batch)
        ]
    seconds = perf_counter() - start
    samples.sort(key=lambda sample: (sample.prompt, sample.number))
    return Generated(samples=samples, cost=net.cost, seconds=seconds)


class _Stop:
    """Whether all texts have come to where they are cut off."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]):
        self.tokenizer, self.stop = tokenizer, stop
        self.written: dict[int, list[int]] = {}
        self.stopped: set[int] = set()

    def reached(self, step: DecodeStep) -> bool:
        """Tell whether none continues that has not stopped."""
        rows = step.row.tolist()
        for row, token in zip(rows, step.token.tolist(), strict=True):
            self.written.setdefault(row, []).append(token)
            text = "" if row in self.stopped else self.tokenizer.decode(self.written[row])
            if any(each in text for each in self.stop):
                self.stopped.add(row)
        return self.stopped.issuperset(rows)


def _as_begun(batch: list[TextWithHoles], filling: FillRequest, vocab: Vocab) -> GenerationBatch:
    masked = filling.text.tokens.masked_fill(filling.holes, vocab.roles.get("mask", vocab.pad))
    return GenerationBatch(
        samples=[(row.prompt, row.number) for row in batch],
        tokens=[masked[number, : len(row.tokens)].tolist() for number, row in enumerate(batch)],
        holes=[row.holes for row in batch],
        any_length=filling.any_length,
    )


def _sample(
    row: TextWithHoles, written: FillResult, number: int, tokenizer: Tokenizer, request: Request
) -> Sample:
    at: dict[int, list[int]] = {}
    for index, token in written.in_order(number):
        at.setdefault(index, []).append(token)
    tokens: list[int] = []
    is_written: list[bool] = []
    runs: list[list[int]] = []
    for index, (token, replaced) in enumerate(
        zip(row.tokens, written.holes[number].tolist(), strict=False)
    ):
        if index == 0:
            continue
        if not replaced:
            tokens.append(token)
            is_written.append(False)
            continue
        if not written.holes[number, index - 1]:
            runs.append([])
        runs[-1] += at.get(index, [])
        tokens += at.get(index, [])
        is_written += [True] * len(at.get(index, []))
    if row.kind.holes == "end" and request.stop:
        kept = _up_to_stop(runs[0], tokenizer, request.stop)
        tokens = tokens[: len(tokens) - len(runs[0]) + len(kept)]
        is_written, runs = is_written[: len(tokens)], [kept]
    return Sample(
        prompt=row.prompt,
        number=row.number,
        text=tokenizer.decode(tokens),
        written=tuple(tokenizer.decode(run) for run in runs),
        num_tokens=sum(map(len, runs)),
        tokens=tuple(tokens),
        is_written=tuple(is_written),
    )


def _up_to_stop(tokens: list[int], tokenizer: Tokenizer, stop: Sequence[str]) -> list[int]:
    """Return the tokens before the first one with which a text to stop at is complete or begins."""
    for end in range(1, len(tokens) + 1):
        text = tokenizer.decode(tokens[:end])
        found = [text.index(each) for each in stop if each in text]
        if found:
            kept = end
            while kept and len(tokenizer.decode(tokens[:kept])) > min(found):
                kept -= 1
            return tokens[:kept]
    return tokens
