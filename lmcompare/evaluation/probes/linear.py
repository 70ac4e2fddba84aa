"""Linear probes of one layer: all tasks and L2 strengths in one optimisation.

Multinomial logistic regression on standardised states: half the strength times the squared weights
is added to the mean cross-entropy, biases go free. States are turned into uncorrelated coordinates
of equal variance, in which all problems are about equally curved, and all problems are minimised at
once by Adam (Kingma & Ba 2015) with a falling rate: a product of matrices serves them all. The
optimum is the same as in any other coordinates, and does not depend on a seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare import rng
from lmcompare.evaluation.probes.coordinates import Coordinates, chunks

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)  # of L2, from which validation chooses for each contestant
EPOCHS = 3
FEWEST_STEPS = 300  # of few examples there are more epochs
STEPS_OF_WHOLE = 250  # where each step takes all examples
BATCH = 1_024  # examples of a step
WHOLE = 2_048  # examples, of which each step takes all where there are no more
RATE = 0.1  # of Adam at its start
RATE_OF_WHOLE = 0.8  # the same where a step takes all examples, so that its gradient has no noise
BETAS = (0.9, 0.99)
AVERAGED = 0.3  # the share of the steps, at their end, whose weights are averaged against noise


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """The labels of examples by number, and how many classes there are.

    Attributes:
        labels: of all examples; below 0 where nothing is asked.
        num_classes: that there are; a label that is this number or more is no class's.
        strengths: of L2; one probe is fitted for each.
    """

    labels: Int[ndarray, " N"]
    num_classes: int
    strengths: Sequence[float] = STRENGTHS

    @property
    def num_outputs(self) -> int:
        """Return the number of outputs of all its probes."""
        return self.num_classes * len(self.strengths)

    def by_class(self, outputs: Float[Tensor, "O N"]) -> Float[Tensor, "S C N"]:
        """Return its outputs by strength and class."""
        return outputs.view(len(self.strengths), self.num_classes, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearProbes:
    """The probes of some problems, in the coordinates of one layer."""

    coordinates: Coordinates
    problems: Sequence[Problem]
    weight: Float[Tensor, "O F1"]  # the first of each output is its bias

    def log_probs(self, some: slice) -> Iterator[Float[Tensor, "S C N"]]:
        """Yield the log-probabilities of each problem's classes, for each of its strengths."""
        outputs = self.weight @ _with_one(self.coordinates(some)).T
        for problem, own in zip(self.problems, _split(outputs, self.problems), strict=True):
            yield problem.by_class(own).log_softmax(1)


class Probes(Protocol):
    """What was fitted: it gives each problem's log-probabilities."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Return the problems, in order."""

    def log_probs(self, some: slice) -> Iterator[Float[Tensor, "S C N"]]:
        """Yield the log-probabilities of each problem's classes, for each of its strengths."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ProblemBatch:
    """The examples of a step.

    Attributes:
        x: their coordinates.
        truth: the labels of each problem.
        asked: which of them are asked, and classes.
        num: how many of each problem such a batch has on average.
        done: the share of all steps before this one.
    """

    x: Float[Tensor, "B F"]
    truth: Int[Tensor, "P B"]
    asked: Bool[Tensor, "P B"]
    num: Sequence[float]
    done: float


def batches(
    coordinates: Coordinates, examples: slice, problems: Sequence[Problem], *, seed: int = 0
) -> Iterator[ProblemBatch]:
    """Yield batches of examples in random order, several times all of them.

    Args:
        coordinates: of the examples.
        examples: to learn from.
        problems: what to learn.
        seed: draws the order.
    """
    device = coordinates.device
    num = examples.stop - examples.start
    labels = torch.from_numpy(np.stack([each.labels[examples] for each in problems]))
    sizes = torch.tensor([each.num_classes for each in problems])[:, None]
    asked = (labels >= 0) & (labels < sizes)
    shares = (asked.sum(1) / num).tolist()
    size = num if num <= WHOLE else BATCH
    per_epoch = sum(-(-(some.stop - some.start) // size) for some in chunks(examples))
    epochs = STEPS_OF_WHOLE if num <= WHOLE else max(EPOCHS, -(-FEWEST_STEPS // per_epoch))
    draws, step = rng.generator("order of probed examples", num, seed), 0
    for _ in range(epochs):
        for some in _shuffled([*chunks(examples)], draws):
            own = slice(some.start - examples.start, some.stop - examples.start)
            z = coordinates(some)
            truth, is_asked = labels[:, own].to(device), asked[:, own].to(device)
            for rows in torch.randperm(len(z), generator=draws).to(device).split(size):
                yield ProblemBatch(
                    x=z[rows],
                    truth=truth[:, rows],
                    asked=is_asked[:, rows],
                    num=[share * len(rows) for share in shares],
                    done=step / (epochs * per_epoch),
                )
                step += 1


def fit(
    coordinates: Coordinates, examples: slice, problems: Sequence[Problem], *, seed: int = 0
) -> LinearProbes:
    """Fit linear probes to some examples.

    Args:
        coordinates: of the examples.
        examples: to learn from.
        problems: what to learn; each has an example with a label.
        seed: draws the order of the examples, on which the optimum does not depend.
    """
    device = coordinates.device
    strengths = torch.cat(
        [torch.tensor(each.strengths).repeat_interleave(each.num_classes) for each in problems]
    )
    squares = strengths.to(device)[:, None] * coordinates.stretch.square()
    weight = torch.zeros(len(strengths), 1 + coordinates.width, device=device)
    rate = RATE_OF_WHOLE if examples.stop - examples.start <= WHOLE else RATE
    average, num_averaged, adam = torch.zeros_like(weight), 0, _Adam(weight)
    for batch in batches(coordinates, examples, problems, seed=seed):
        x = _with_one(batch.x)
        error = weight @ x.T
        for part, truth, asked, problem, num in zip(
            _split(error, problems), batch.truth, batch.asked, problems, batch.num, strict=True
        ):
            _subtract_truth(problem.by_class(part), truth, asked, num)
        gradient = error @ x
        gradient[:, 1:].addcmul_(squares, weight[:, 1:])
        adam.update(weight, gradient, rate * (1 - batch.done))
        if batch.done >= 1 - AVERAGED:
            num_averaged += 1
            average.lerp_(weight, 1 / num_averaged)
    return LinearProbes(coordinates=coordinates, problems=problems, weight=average)


def _with_one(x: Float[Tensor, "N F"]) -> Float[Tensor, "N F1"]:
    return torch.nn.functional.pad(x, (1, 0), value=1.0)


def _subtract_truth(
    outputs: Float[Tensor, "S C B"],
    truth: Int[Tensor, " B"],
    asked: Bool[Tensor, " B"],
    num: float,
) -> None:
    """Make outputs the gradient of the mean cross-entropy with respect to them, in place.

    Args:
        outputs: of one problem.
        truth: its labels.
        asked: of which of them are asked.
        num: how many such a batch has on average.
    """
    rows = asked.nonzero()[:, 0]
    outputs.copy_(outputs.softmax(1))
    outputs[:, truth[rows], rows] -= 1
    outputs *= asked / num


class _Adam:
    """Adam (Kingma & Ba 2015) for one tensor."""

    def __init__(self, weight: Tensor):
        self.step = 0
        self._mean, self._square = torch.zeros_like(weight), torch.zeros_like(weight)

    def update(self, weight: Tensor, gradient: Tensor, rate: float) -> None:
        """Change a weight in place."""
        self.step += 1
        self._mean.lerp_(gradient, 1 - BETAS[0])
        self._square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        unbiased = (1 - BETAS[1] ** self.step) ** 0.5 / (1 - BETAS[0] ** self.step)
        weight.addcdiv_(self._mean, self._square.sqrt().add_(1e-8), value=-rate * unbiased)


def _split(outputs: Float[Tensor, "O N"], problems: Sequence[Problem]) -> Sequence[Tensor]:
    found: Sequence[Tensor] = outputs.split([each.num_outputs for each in problems])
    return found


def _shuffled(parts: Sequence[slice], draws: torch.Generator) -> list[slice]:
    return [parts[each] for each in torch.randperm(len(parts), generator=draws).tolist()]
