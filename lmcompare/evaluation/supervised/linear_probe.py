"""The frozen probe: a linear classifier of the states of an unchanged model.

Multinomial logistic regression on states that are standardised over the training rows, fitted to
convergence (L-BFGS); its L2 strength and its pooling are chosen on the validation rows.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lmcompare.evaluation.supervised.pooling import (
    Head,
    HeadOnStates,
    PooledStates,
    each_row,
    merit,
)
from lmcompare.evaluation.supervised.search import Search, widen
from lmcompare.evaluation.supervised.spec import FineTuneSpec
from lmcompare.evaluation.tasks.options import Pooling
from lmcompare.evaluation.tasks.record import L2, POOLING, Trial
from lmcompare.runs.loaded_model import LoadedModel

# half of it times the squared weights is added to the mean loss
STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MOST_ITERATIONS = 300


def probe(
    model: LoadedModel, spec: FineTuneSpec, *, report: Callable[[float], None]
) -> dict[Pooling, Search[HeadOnStates]]:
    """Fit a probe for each pooling.

    Args:
        model: whose model stays as it is.
        spec: what to learn.
        report: told the share that is done, 0 to 1.
    """
    found: dict[Pooling, Search[HeadOnStates]] = {}
    for number, pooling in enumerate(spec.poolings, start=1):
        found[pooling] = _probe(model, spec, pooling)
        report(number / len(spec.poolings))
    return found


def chosen(found: dict[Pooling, Search[HeadOnStates]]) -> Search[HeadOnStates]:
    """Return the search over all poolings."""
    first, *others = found.values()
    search = Search([*first.trials], first.best, first.kept)
    for each in others:
        search.add(each)
    return search


def settings(best: Trial) -> dict[str, str | float]:
    """Return what was chosen, for a record."""
    assert best.l2 is not None
    return {POOLING: best.pooling or "", L2: best.l2, "learned in": "float32"}


def _probe(model: LoadedModel, spec: FineTuneSpec, pooling: Pooling) -> Search[HeadOnStates]:
    reading = PooledStates(model, model.net, pooling)
    device = model.net.device
    train = torch.cat(each_row(reading, spec.train, model.net)).to(device)
    validation = torch.cat(each_row(reading, spec.validation, model.net)).to(device)

    def attempt(strength: float) -> Search[HeadOnStates]:
        head, iterations = _fitted(train, spec, strength)
        with torch.no_grad():
            outputs = [*head(validation).cpu().split(1)]
        value, minus_loss = merit(spec, outputs)
        trial = Trial(
            pooling=pooling, l2=strength, validation=value, loss=-minus_loss, steps=iterations
        )
        return Search.of(trial, HeadOnStates(reading, head))

    return widen(STRENGTHS, attempt)


def _fitted(states: Float[Tensor, "N D"], spec: FineTuneSpec, strength: float) -> tuple[Head, int]:
    """Return a head that fits the training rows, and the iterations that this took."""
    head = Head.standardising(states, spec.num_outputs)
    optimizer = torch.optim.LBFGS(
        head.parameters(),
        max_iter=MOST_ITERATIONS,
        history_size=10,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def penalised() -> Tensor:
        optimizer.zero_grad()
        loss = spec.loss(head(states), spec.train) + strength / 2 * head.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(penalised)
    optimizer.zero_grad()
    return head, int(optimizer.state[head.weight]["n_iter"])
