"""What is foretold of evaluation is what it then asks of the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.model import Backbone
from lmcompare.training.forecast import SHARE, Counter, Forecaster
from tests.conftest import values
from tests.tiny import Trainer, tiny

RATE = 1e9  # what `unmeasured` says of every machine


@pytest.mark.parametrize("objective", values("clm", slow=["mlm", "t5", "mdlm"]))
def test_foretold_and_counted(
    corpus: Path, train: Trainer, cache: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(corpus, objective, "budget=2 steps")
    foretold = Forecaster(cache).forecast(config, 1e9)
    run = train(config)
    counted: list[float] = []

    def counting(name: str) -> Callable[..., Tensor]:
        def count(net: Backbone, *given: Any, **more: Any) -> Tensor:
            counter = Counter(net.config, net.vocab_size)
            found: Tensor = getattr(counter, name)(*given, **more)
            counted.append(counter.flops)
            return found

        return count

    for name in ("log_prob", "logits"):
        monkeypatch.setattr(Backbone, name, counting(name))
    measure_likelihood(run, LikelihoodOptions(), cache=cache)
    assert foretold.likelihood_flops == pytest.approx(sum(counted), rel=0.2)
    counted.clear()
    measure_infilling(run, InfillingOptions(), cache=cache)
    assert foretold.infilling_flops == pytest.approx(sum(counted), rel=0.2)


def test_times_follow_from_operations_and_the_measured_rate(corpus: Path, cache: Path) -> None:
    foretold = Forecaster(cache).forecast(tiny(corpus, "clm"), 7e9)
    assert foretold.training_seconds == pytest.approx(7e9 / (RATE * SHARE))
    assert foretold.likelihood_seconds == pytest.approx(foretold.likelihood_flops / (RATE * SHARE))
    assert foretold.infilling_seconds == pytest.approx(foretold.infilling_flops / (RATE * SHARE))


def test_a_budget_of_seconds_has_no_training_time(corpus: Path, cache: Path) -> None:
    foretold = Forecaster(cache).forecast(tiny(corpus, "clm"), None)
    assert foretold.training_seconds is None
    assert foretold.likelihood_seconds > 0
