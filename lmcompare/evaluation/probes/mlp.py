"""Probes with one hidden layer: the same optimisation as that of linear ones, with another start.

They tell what is there, but not how plainly: a probe that can do much learns control tasks, too
(Hewitt & Liang 2019). L2 is on both layers, and there is no early end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from lmcompare import rng
from lmcompare.evaluation.probes.coordinates import Coordinates
from lmcompare.evaluation.probes.linear import Problem, batches

HIDDEN = 64  # units for each problem and strength
RATE = 0.003  # of Adam at its start


@dataclass(frozen=True, kw_only=True, eq=False)
class MlpProbes:
    """The probes of some problems, in the coordinates of one layer."""

    coordinates: Coordinates
    problems: Sequence[Problem]
    layers: Sequence[tuple[Tensor, Tensor, Tensor, Tensor]]  # of each: weights and biases of both

    def log_probs(self, some: slice) -> Iterator[Float[Tensor, "S C N"]]:
        """Yield the log-probabilities of each problem's classes, for each of its strengths."""
        x = self.coordinates(some).T
        for own in self.layers:
            yield _outputs(own, x).log_softmax(1)


def fit(
    coordinates: Coordinates, examples: slice, problems: Sequence[Problem], *, seed: int = 0
) -> MlpProbes:
    """Fit probes to some examples, as `linear.fit` does; the seed draws the weights."""
    device, width = coordinates.device, coordinates.width
    draws = rng.generator("weights of a probe", seed)
    layers = [_start(problem, width, draws, device) for problem in problems]
    weights = [each for own in layers for each in own]
    optimizer = torch.optim.Adam(weights, lr=RATE, betas=(0.9, 0.99))
    for batch in batches(coordinates, examples, problems, seed=seed):
        x = batch.x.T
        loss = torch.zeros((), device=device)
        for index, (own, problem) in enumerate(zip(layers, problems, strict=True)):
            rows = batch.asked[index].nonzero()[:, 0]
            truth = batch.truth[index][rows].expand(len(problem.strengths), -1)
            some = cross_entropy(_outputs(own, x[:, rows]), truth, reduction="none")
            loss = loss + some.sum() / batch.num[index]
            strength = torch.tensor(problem.strengths, device=device)
            squares = sum(each.square().sum((1, 2)) for each in (own[0], own[2]))
            loss = loss + (strength / 2 * squares).sum()
        optimizer.param_groups[0]["lr"] = RATE * (1 - batch.done)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for each in weights:
        each.requires_grad_(False)
    return MlpProbes(coordinates=coordinates, problems=problems, layers=layers)


def _start(
    problem: Problem, width: int, draws: torch.Generator, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weights that a problem starts from, the same ones for each strength."""
    num = len(problem.strengths)
    first = torch.randn(HIDDEN, width, generator=draws) / width**0.5
    second = torch.randn(problem.num_classes, HIDDEN, generator=draws) / HIDDEN**0.5
    made = (
        first.repeat(num, 1, 1),
        torch.zeros(num, HIDDEN, 1),
        second.repeat(num, 1, 1),
        torch.zeros(num, problem.num_classes, 1),
    )
    one, two, three, four = (each.to(device).requires_grad_() for each in made)
    return one, two, three, four


def _outputs(
    layers: tuple[Tensor, Tensor, Tensor, Tensor], x: Float[Tensor, "F N"]
) -> Float[Tensor, "S C N"]:
    first, first_bias, second, second_bias = layers
    hidden = (first @ x + first_bias).relu()
    return second @ hidden + second_bias
