"""Which labelled examples are asked about, which are learned from, and which choose settings.

All rules depend on the examples and the task's name alone, so that all models get the same ones.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import torch

from lmcompare import rng

Example = TypeVar("Example")

MOST_VALIDATION = 500  # examples that choose settings
VALIDATION_SHARE = 10  # one of so many training examples at most, where no others are given


def every(
    examples: Sequence[Example], step: int, *, of: Callable[[Example], Hashable]
) -> tuple[list[Example], list[Example]]:
    """Return all but every `step`-th, and every `step`-th; examples of one thing stay together."""
    numbers = {thing: number for number, thing in enumerate(dict.fromkeys(map(of, examples)))}
    rest: list[Example] = []
    taken: list[Example] = []
    for example in examples:
        (taken if (numbers[of(example)] + 1) % step == 0 else rest).append(example)
    return rest, taken


def spread(examples: Sequence[Example], most: int) -> list[Example]:
    """Return at most this many, evenly from all over."""
    num = min(most, len(examples))
    return [examples[number * len(examples) // num] for number in range(num)]


def held_out(
    train: Sequence[Example], validation: Sequence[Example], *, of: Callable[[Example], Hashable]
) -> dict[str, list[Example]]:
    """Return training and validation examples; where none are given, the latter from the former.

    One at least, so that something can choose settings, if there are two things.
    """
    if not validation:
        step = max(VALIDATION_SHARE, -(-len(train) // MOST_VALIDATION))
        step = min(step, max(2, len({*map(of, train)})))
        train, validation = every(train, step, of=of)
    return {"train": list(train), "validation": spread(validation, MOST_VALIDATION)}


def drawn(
    examples: Sequence[Example],
    num: int | None,
    *,
    task: str,
    of: Callable[[Example], str] = lambda example: "",
) -> list[Example]:
    """Draw at most this many examples by chance, but each class by its share; all if None.

    Each class that there is room for has one at least, the more frequent ones first.

    Args:
        examples: to draw from.
        num: to draw.
        task: its name.
        of: the class of an example.
    """
    if num is None or num >= len(examples):
        return list(examples)
    draw = torch.rand(len(examples), generator=rng.generator("labelled examples", task))
    left: dict[str, list[int]] = {}
    for number in draw.argsort(stable=True).tolist():
        left.setdefault(of(examples[number]), []).append(number)
    share = {each: num * len(own) / len(examples) for each, own in left.items()}
    chosen: list[int] = []
    given: Counter[str] = Counter()
    while len(chosen) < num:
        some = sorted(each for each, own in left.items() if own)
        next_one = max(some, key=lambda each: (not given[each], share[each] - given[each]))
        chosen.append(left[next_one].pop(0))
        given[next_one] += 1
    return [examples[number] for number in sorted(chosen)]
