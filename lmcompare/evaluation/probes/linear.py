"""Linear probes of one layer: all tasks and L2 strengths in one optimisation.

Multinomial logistic regression on standardised states: half the strength times the squared weights
is added to the mean cross-entropy, biases go free. States are turned into uncorrelated coordinates
of equal variance, in which all problems are about equally curved, and all problems are minimised at
once by Adam (Kingma & Ba 2015) with a falling rate: a product of matrices serves them all. The
optimum is the same as in any other coordinates, and does not depend on a seed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare import rng

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)  # of L2, from which validation chooses for each contestant
EPOCHS = 4
FEWEST_STEPS = 500  # of few examples there are more epochs
BATCH = 512  # examples of a step
WHOLE = 2_048  # examples, of which each step takes all where there are no more
KEPT = 256_000_000  # bytes of coordinates that are computed once and kept in memory
CHUNK = 16_384  # examples that are in memory, and shuffled, together
RATE = 0.05  # of Adam at its start
BETAS = (0.9, 0.99)
AVERAGED = 0.3  # the share of the steps, at their end, whose weights are averaged against noise
FLATTEST = 1e-4  # share of the mean variance below which a direction is not stretched

Read = Callable[[slice], Float[ndarray, "N F"]]  # the states of some examples


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinates:
    """Where standardised states have uncorrelated coordinates of variance 1.

    Attributes:
        mean: of the states.
        turn: from states less their mean to coordinates.
        stretch: by how much each coordinate's weights are larger in standardised states.
    """

    mean: Float[Tensor, " F"]
    turn: Float[Tensor, "F F"]
    stretch: Float[Tensor, " F"]

    @staticmethod
    def of(read: Read, examples: slice, *, device: torch.device) -> "Coordinates":
        """Return those of some examples, in one pass over them."""
        num, total, products = 0, torch.zeros(0), torch.zeros(0)
        for some in chunks(examples):
            x = torch.from_numpy(read(some)).to(device)
            if not num:
                offset = x.mean(0)  # near enough to the mean that squares lose no digits
                total = torch.zeros(x.shape[1], dtype=torch.float64, device=device)
                products = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=device)
            x = x - offset
            num += len(x)
            total += x.sum(0, dtype=torch.float64)
            products += (x.T @ x).double()
        mean = total / num
        covariance = products / num - mean.outer(mean)
        scale = covariance.diagonal().clamp(min=1e-12).sqrt()
        values, vectors = torch.linalg.eigh(covariance / scale.outer(scale))
        stretch = values.clamp(min=FLATTEST).rsqrt()
        return Coordinates(
            mean=(mean + offset).float(),
            turn=((vectors * stretch) / scale[:, None]).float(),
            stretch=stretch.float(),
        )

    def reader(self, read: Read, examples: slice) -> "Callable[[slice], Float[Tensor, 'N F']]":
        """Return what gives the coordinates of examples, kept in memory where they are few."""
        size = (examples.stop - examples.start) * len(self.mean) * 4
        if size > KEPT:
            return lambda some: self(read(some))
        kept = torch.cat([self(read(some)) for some in chunks(examples)])
        return lambda some: kept[some.start - examples.start : some.stop - examples.start]

    def __call__(self, states: Float[ndarray, "N F"]) -> Float[Tensor, "N F"]:
        """Return the coordinates of some states."""
        return (torch.from_numpy(states).to(self.mean.device) - self.mean) @ self.turn


def chunks(examples: slice, size: int = CHUNK) -> Iterator[slice]:
    """Yield a range of examples in pieces that are in memory one at a time."""
    for start in range(examples.start, examples.stop, size):
        yield slice(start, min(start + size, examples.stop))


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

    def log_probs(self, states: Float[ndarray, "N F"]) -> Iterator[Float[Tensor, "S C N"]]:
        """Yield the log-probabilities of each problem's classes, for each of its strengths."""
        outputs = self.weight @ _with_one(self.coordinates(states)).T
        for problem, own in zip(self.problems, _split(outputs, self.problems), strict=True):
            yield problem.by_class(own).log_softmax(1)


class Probes(Protocol):
    """What was fitted: it gives each problem's log-probabilities."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Return the problems, in order."""

    def log_probs(self, states: Float[ndarray, "N F"]) -> Iterator[Float[Tensor, "S C N"]]:
        """Yield the log-probabilities of each problem's classes, for each of its strengths."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
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
    read: Read,
    examples: slice,
    problems: Sequence[Problem],
    *,
    coordinates: Coordinates,
    seed: int = 0,
) -> Iterator[Batch]:
    """Yield batches of examples in random order, several times all of them.

    Args:
        read: gives the states of examples.
        examples: to learn from.
        problems: what to learn.
        coordinates: of these states.
        seed: draws the order.
    """
    device = coordinates.mean.device
    num = examples.stop - examples.start
    labels = torch.from_numpy(np.stack([each.labels[examples] for each in problems]))
    sizes = torch.tensor([each.num_classes for each in problems])[:, None]
    asked = (labels >= 0) & (labels < sizes)
    shares = (asked.sum(1) / num).tolist()
    size = num if num <= WHOLE else BATCH
    per_epoch = sum(-(-(some.stop - some.start) // size) for some in chunks(examples))
    epochs = max(EPOCHS, -(-FEWEST_STEPS // per_epoch))
    draws, step = rng.generator("order of probed examples", num, seed), 0
    coordinates_of = coordinates.reader(read, examples)
    for _ in range(epochs):
        for some in _shuffled([*chunks(examples)], draws):
            own = slice(some.start - examples.start, some.stop - examples.start)
            z = coordinates_of(some)
            truth, is_asked = labels[:, own].to(device), asked[:, own].to(device)
            for rows in torch.randperm(len(z), generator=draws).to(device).split(size):
                yield Batch(
                    x=z[rows],
                    truth=truth[:, rows],
                    asked=is_asked[:, rows],
                    num=[share * len(rows) for share in shares],
                    done=step / (epochs * per_epoch),
                )
                step += 1


def fit(
    read: Read,
    examples: slice,
    problems: Sequence[Problem],
    *,
    coordinates: Coordinates,
    seed: int = 0,
    report: Callable[[float], None] = lambda share: None,
) -> LinearProbes:
    """Fit linear probes to some examples.

    Args:
        read: gives the states of examples.
        examples: to learn from.
        problems: what to learn; each has an example with a label.
        coordinates: of these states.
        seed: draws the order of the examples, on which the optimum does not depend.
        report: told the share that is done, 0 to 1.
    """
    device = coordinates.mean.device
    strengths = torch.cat(
        [torch.tensor(each.strengths).repeat_interleave(each.num_classes) for each in problems]
    )
    squares = strengths.to(device)[:, None] * coordinates.stretch.square()
    weight = torch.zeros(len(strengths), 1 + len(coordinates.mean), device=device)
    average, num_averaged, adam = torch.zeros_like(weight), 0, _Adam(weight)
    for batch in batches(read, examples, problems, coordinates=coordinates, seed=seed):
        x = _with_one(batch.x)
        error = weight @ x.T
        for part, truth, asked, problem, num in zip(
            _split(error, problems), batch.truth, batch.asked, problems, batch.num, strict=True
        ):
            _subtract_truth(problem.by_class(part), truth, asked, num)
        gradient = error @ x
        gradient[:, 1:].addcmul_(squares, weight[:, 1:])
        adam.update(weight, gradient, RATE * (1 - batch.done))
        if batch.done >= 1 - AVERAGED:
            num_averaged += 1
            average.lerp_(weight, 1 / num_averaged)
        report(batch.done)
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
