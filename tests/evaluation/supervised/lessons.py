"""Rows to learn from, and lessons of them."""

from itertools import count

import torch

from lmcompare.evaluation.supervised.spec import FineTuneSpec, LabelledRow, mean_cross_entropy
from lmcompare.runs.loaded_model import LoadedModel
from tests.tiny import WORDS


def texts(num: int) -> list[str]:
    """Of unlike lengths."""
    draws = torch.Generator().manual_seed(3)
    found = []
    for number in range(num):
        chosen = torch.randint(len(WORDS), (2 + number % 7,), generator=draws)
        found.append(" ".join(WORDS[each] for each in chosen))
    return found


def rows_of(model: LoadedModel, num: int = 23, *, alone: bool = False) -> list[LabelledRow]:
    """Texts of two classes, or of as many as their tokens, each token being asked about alone."""
    rows = []
    for number, document in enumerate(model.tokenizer.encode(texts(num))):
        size = len(document)
        spans = [range(each, each + 1) for each in range(1, 1 + size)]
        rows.append(
            LabelledRow(document=document, spans=spans, target=[size % 2] * size)
            if alone
            else LabelledRow(document=document, spans=[range(1 + size)], target=[number % 2])
        )
    return rows


def lesson_of(model: LoadedModel, *, alone: bool = False, **changes: object) -> FineTuneSpec:
    """Every time that it is judged it is better than before."""
    rows = rows_of(model, alone=alone)
    times = count(1)
    settings: dict = {
        "name": "a task",
        "train": rows[:17],
        "validation": rows[17:],
        "num_outputs": 2,
        "poolings": () if alone else ("mean",),
        "probed": not alone,
        "loss": mean_cross_entropy,
        "judge": lambda outputs: float(next(times)),
    }
    return FineTuneSpec(**{**settings, **changes})


def accuracy(rows: list[LabelledRow]):
    def judge(outputs):
        right = [
            int(each[0].argmax()) == row.target[0] for each, row in zip(outputs, rows, strict=True)
        ]
        return sum(right) / len(right)

    return judge
