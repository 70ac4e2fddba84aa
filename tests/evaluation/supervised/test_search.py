"""How settings are searched: where it begins, how far it goes, and what wins."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from lmcompare.evaluation.supervised import linear_probe
from lmcompare.evaluation.supervised.search import Search, widen
from lmcompare.evaluation.supervised.spec import FineTuneSpec, LabelledRow, mean_cross_entropy
from lmcompare.evaluation.tasks.record import Trial

LADDER = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)


def searched(*values: float, losses: tuple[float, ...] = (1.0,) * 7) -> tuple[list[float], float]:
    """The rates tried, and the best, of scores for each rung."""

    def attempt(rate: float) -> Search[float]:
        rung = LADDER.index(rate)
        trial = Trial(learning_rate=rate, validation=values[rung], loss=losses[rung], steps=1)
        return Search.of(trial, rate)

    search = widen(LADDER, attempt)
    assert search.kept == search.best.learning_rate
    return [each.learning_rate for each in search.trials], search.kept


@pytest.mark.parametrize(
    ("values", "tried", "best"),
    [
        ((9, 9, 1, 2, 1, 9, 9), [4, 3, 5], 4),
        ((0, 0, 0, 1, 2, 1, 9), [4, 3, 5, 6], 5),
        ((0, 0, 0, 1, 2, 3, 4), [4, 3, 5, 6, 7], 7),
        ((5, 4, 3, 2, 1, 9, 9), [4, 3, 5, 2, 1], 1),
        ((5, 2, 3, 2, 1, 9, 9), [4, 3, 5, 2], 3),
        ((0, 0, 2, 2, 2, 0, 0), [4, 3, 5], 4),
    ],
)
def test_a_search_goes_on_until_the_best_is_inside(
    values: tuple[float, ...], tried: list[float], best: float
) -> None:
    assert searched(*values) == (tried, best)


def test_of_equals_the_lower_loss_wins() -> None:
    losses = (1.0, 1.0, 0.5, 1.0, 0.75, 1.0, 1.0)
    assert searched(*[2.0] * 7, losses=losses) == ([4, 3, 5, 2], 3)


def test_a_probe_is_a_penalised_logistic_regression() -> None:
    """At its fit, the loss's gradient is that of the penalty, and none at the bias."""
    draws = torch.Generator().manual_seed(3)
    states = torch.randn(53, 5, generator=draws)
    target = torch.randint(3, (53,), generator=draws)
    rows = [LabelledRow(document=None, spans=[range(1)], target=[int(each)]) for each in target]
    spec = FineTuneSpec(
        name="a task",
        train=rows,
        validation=rows,
        num_outputs=3,
        poolings=("mean",),
        probed=True,
        loss=mean_cross_entropy,
        judge=lambda outputs: 0.0,
    )
    sizes = []
    for strength in (1e-3, 1e-1):
        head, steps = linear_probe._fitted(states, spec, strength)
        assert 0 < steps < linear_probe.MOST_ITERATIONS
        cross_entropy(head(states), target).backward()
        assert head.bias.grad.abs().max() < 1e-4
        torch.testing.assert_close(
            head.weight.grad, -strength * head.weight.detach(), rtol=0, atol=1e-4
        )
        sizes.append(float(head.weight.detach().norm()))
    assert sizes[0] > 1.2 * sizes[1]


@pytest.mark.parametrize(("best", "edge"), [(1.0, "lowest"), (2.0, None), (3.0, "highest")])
def test_a_record_says_at_which_edge_the_best_was(best: float, edge: str | None) -> None:
    from tests.evaluation.tasks.records import record_of

    trials = [
        Trial(
            pooling="mean",
            learning_rate=rate,
            validation=float(rate == best),
            loss=1.0,
            steps=1,
            chosen=rate == best,
        )
        for rate in (1.0, 2.0, 3.0)
    ]
    # another pooling, of which one rate was tried
    trials.append(Trial(pooling="last", learning_rate=9.0, validation=0.5, loss=1.0, steps=1))
    record = record_of(trials=trials)
    assert record.at_edge == edge
    assert record.pooling == "mean"
    assert record.poolings == {"mean": 1.0, "last": 0.5}
