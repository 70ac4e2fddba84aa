"""What a classification asks about, and what is kept of each answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmcompare.evaluation.supervised.spec import Outputs
from lmcompare.evaluation.tasks.record import FROZEN_PROBE, TaskItem


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A text or a pair of them, and its label."""

    number: int
    texts: tuple[str, ...]
    label: str


def items_of(
    examples: Sequence[LabelledText],
    labels: Sequence[str],
    outputs: Outputs,
    frozen: Outputs | None,
) -> Iterator[TaskItem]:
    """Yield the item of each example.

    Args:
        examples: those that were asked about.
        labels: all of them; an item has their numbers.
        outputs: what was said of each example.
        frozen: what the frozen probe said of it; None where none was asked.
    """
    for number, (example, each) in enumerate(zip(examples, outputs, strict=True)):
        confidence, predicted = each[0].double().softmax(0).max(0)
        label = labels.index(example.label)
        probe = {} if frozen is None else {FROZEN_PROBE: int(frozen[number].argmax()) == label}
        yield TaskItem(
            item=example.number,
            score=float(int(predicted) == label),
            parts={"label": example.label},
            figures={
                "predicted": int(predicted),
                "label": label,
                "confidence": float(confidence),
                **probe,
            },
        )
