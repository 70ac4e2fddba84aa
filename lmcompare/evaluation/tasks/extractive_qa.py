"""Predictions that stand in a text: where in it a question's answer begins and ends; learned.

Rajpurkar et al. 2016, SQuAD (https://arxiv.org/abs/1606.05250): exact match and the F1 of words as
their script takes them. The question is read first, so that a model that reads from left to right
knows it when it reads the text; an end token stands between them. A text longer than the rows that
were trained on is read in windows that overlap by half, and one that does not hold the answer is
taught to point at the end token (Devlin et al. 2019, BERT, as published in run_squad.py).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from lmcompare.data import Encoded
from lmcompare.errors import UserError
from lmcompare.evaluation.heldout_text import cut
from lmcompare.evaluation.readers import table_files
from lmcompare.evaluation.readers.squad import SquadQuestion, exact, f1, questions
from lmcompare.evaluation.supervised.finetuning import tune
from lmcompare.evaluation.supervised.spec import (
    FineTuneSpec,
    LabelledRow,
    Outputs,
    joined,
    room,
)
from lmcompare.evaluation.tasks import splits
from lmcompare.evaluation.tasks.base import Examples, LearnedTask, Predictions
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.evaluation.windows import windows
from lmcompare.runs.loaded_model import LoadedModel

PROTOCOLS: Mapping[str, int | None] = {"100": 100, "all": None}
LONGEST = 30  # tokens of an answer behind its first


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read(LabelledRow):
    """A window of a question's text.

    Its spans are the end token behind the question, and each token of the text.
    """

    bounds: Sequence[tuple[int, int]]  # of each token of the text: its bytes


class SpanAnswers(LearnedTask[SquadQuestion]):
    """Questions whose answers stand in a text."""

    kind: Literal["span-answers"] = "span-answers"
    metric = "F1"

    about = "where in a text the answer to a question stands, learned from examples"

    @property
    def protocols(self) -> tuple[str, ...]:
        return tuple(PROTOCOLS)

    def read(self, folder: Path) -> Examples[SquadQuestion]:
        train, validation, test = (
            self._questions(patterns, folder)
            for patterns in (self.train, self.validation, self.test)
        )
        if self.test_every:
            train, test = splits.every(train, self.test_every, of=_context)
        learned = splits.held_out(train, validation, of=_context)
        for what, some in {**learned, "test": test}.items():
            if not some:
                raise UserError(
                    f"the task {self.name} has no {what} questions in {self.source}: add paragraphs"
                )
        return Examples(
            test=[replace(each, number=number) for number, each in enumerate(test)],
            learned=learned,
        )

    def chance(self, examples: Examples[SquadQuestion]) -> float:
        return 0.0

    def evaluate(
        self,
        model: LoadedModel,
        examples: Examples[SquadQuestion],
        *,
        protocol: str,
        done: frozenset[int],
        report: Callable[[float], None],
    ) -> Predictions:
        train = splits.drawn(examples.learned["train"], PROTOCOLS[protocol], task=self.name)
        validation = examples.learned["validation"]
        counts: Counter[str] = Counter()
        tested, taught, judged = (
            _rows(model, some, what, counts)
            for some, what in (
                (examples.test, ""),
                (train, "training "),
                (validation, "validation "),
            )
        )
        spec = FineTuneSpec(
            name=self.name,
            train=[row for some in taught for row in some],
            validation=[row for some in judged for row in some],
            num_outputs=2,
            poolings=(),
            probed=False,
            loss=loss,
            judge=partial(_f1, validation, judged),
        )
        tuned = tune(model, spec, report=report)
        left = [number for number, each in enumerate(examples.test) if each.number not in done]
        rows = [tested[number] for number in left]
        outputs = tuned.outputs([row for some in rows for row in some])
        return Predictions(
            description=f"fine-tuned on {len(train)} questions, first and last token of the answer",
            items=_items([examples.test[number] for number in left], rows, outputs),
            settings={
                **tuned.settings,
                "training examples": float(len(train)),
                "validation examples": float(len(validation)),
            },
            trials=tuned.trials,
            counts=counts,
        )

    def figures(self, items: Sequence[TaskItem]) -> Mapping[str, float]:
        return {"exact match": sum(item.figures["exact match"] for item in items) / len(items)}

    def _questions(self, patterns: Sequence[str], folder: Path) -> list[SquadQuestion]:
        paths = table_files.find(folder, patterns, task=self.name)
        return [each for path in paths for each in questions(path)]


def _context(example: SquadQuestion) -> str:
    return example.context


def _rows(
    model: LoadedModel, examples: Sequence[SquadQuestion], what: str, counts: Counter[str]
) -> list[list[_Read]]:
    """Return the windows of each question."""
    contexts = list(dict.fromkeys(each.context for each in examples))
    texts = dict(zip(contexts, model.tokenizer.encode(contexts), strict=True))
    encoded = model.tokenizer.encode([each.question for each in examples])
    found = []
    for each, question in zip(examples, encoded, strict=True):
        if len(question) > room(model) // 2:
            question = cut(question, 0, room(model) // 2)
            counts[f"{what}questions cut at their end"] += 1
        rows = _windows(model, question, texts[each.context], each)
        if len(rows) > 1:
            counts[f"{what}texts read in windows"] += 1
        found.append(rows)
    return found


def _windows(
    model: LoadedModel, question: Encoded, text: Encoded, example: SquadQuestion
) -> list[_Read]:
    length = room(model) - len(question) - 1
    stops = text.bytes.cumsum()
    bounds = list(zip((stops - text.bytes).tolist(), stops.tolist(), strict=True))
    answer, start = example.answers[0]
    before = len(example.context[:start].encode())
    # the tokens that hold the answer's first and last byte
    first = int(np.searchsorted(stops, before, side="right"))
    last = int(np.searchsorted(stops, before + len(answer.encode()) - 1, side="right"))
    rows = []
    for window in windows(0, len(text), length=length, stride=max(1, length // 2), both_sides=True):
        document = joined([question, cut(text, window.start, window.stop)], model)
        holds = window.start <= first and last < window.stop
        shown = range(window.start, window.stop)
        end = len(document) - len(shown)  # the place of the end token, the start token's being 0
        rows.append(
            _Read(
                document=document,
                spans=[range(index, index + 1) for index in range(end, len(document) + 1)],
                target=[1 + first - window.start, 1 + last - window.start] if holds else [0, 0],
                bounds=[bounds[token] for token in shown],
            )
        )
    return rows


def loss(outputs: Float[Tensor, "N 2"], rows: Sequence[LabelledRow]) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of the first and the last token, among the spans of a row."""
    parts = outputs.split([len(row.spans) for row in rows])
    logits = pad_sequence(list(parts), batch_first=True, padding_value=-torch.inf)  # B K 2
    target = torch.tensor([list(row.target) for row in rows], device=logits.device)
    return cross_entropy(logits, target)


def best_span(output: Float[Tensor, "K 2"]) -> tuple[float, int, int]:
    """Return the log-probability of the likeliest span of a text, and its first and last token."""
    first, last = output.double().log_softmax(0)[1:].unbind(1)
    table = first[:, None] + last[None, :]
    allowed = torch.ones_like(table, dtype=torch.bool).triu().tril(LONGEST)
    best = int(table.where(allowed, -torch.inf).argmax())
    return float(table.flatten()[best]), best // len(first), best % len(first)


def _said(context: str, rows: Sequence[_Read], outputs: Outputs) -> str:
    """Return the answer that is likeliest, over all windows."""
    found = []
    for row, output in zip(rows, outputs, strict=True):
        if row.bounds:
            score, first, last = best_span(output)
            found.append((score, row.bounds[first][0], row.bounds[last][1]))
    if not found:
        return ""
    _, start, stop = max(found, key=lambda each: each[0])
    return context.encode()[start:stop].decode().strip()


def _f1(
    examples: Sequence[SquadQuestion], rows: Sequence[Sequence[_Read]], outputs: Outputs
) -> float:
    return sum(item.score for item in _items(examples, rows, outputs)) / len(examples)


def _items(
    examples: Sequence[SquadQuestion], rows: Sequence[Sequence[_Read]], outputs: Outputs
) -> Iterator[TaskItem]:
    start = 0
    for each, own in zip(examples, rows, strict=True):
        said = _said(each.context, own, outputs[start : start + len(own)])
        start += len(own)
        yield TaskItem(
            item=each.number,
            score=max(f1(said, answer) for answer, _ in each.answers),
            figures={"exact match": max(exact(said, answer) for answer, _ in each.answers)},
        )
