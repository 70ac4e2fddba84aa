"""What writing takes: passes, operations, time and memory."""

import itertools
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmcompare.evaluation.generation import throughput
from lmcompare.model import Backbone
from lmcompare.objectives import Clm
from lmcompare.runs.run import Run
from tests.evaluation.generation.writing import NEW, items, write


@pytest.mark.parametrize(
    ("objective", "how", "passes"),
    [
        ("clm", {}, 1),
        ("plm", {}, (NEW + 1) / NEW),  # the prompt takes a pass of its own
        ("mdlm", {"methods": ("surest-first",), "steps": (4,)}, 4 / NEW),
        ("mdlm", {"methods": ("left-to-right",)}, 1),
        ("mlm", {"steps": (3,)}, 3 / NEW),
    ],
)
def test_passes_are_those_of_one_text(
    trained: dict[str, Run], cache: Path, objective: str, how: dict[str, Any], passes: float
) -> None:
    (record,) = write(trained[objective], cache, again=True, **how)
    assert record.cost is not None
    assert record.cost.passes_per_token == pytest.approx(passes)
    assert (record.cost.num_alone, record.cost.rows_together) == (2, 7)


def test_operations_are_those_of_one_text(trained: dict[str, Run], cache: Path) -> None:
    """More steps of the same passes cost in proportion; a cache reads each token once."""
    cost = {}
    for steps in (2, 6):
        (record,) = write(
            trained["mdlm"], cache, methods=("surest-first",), steps=(steps,), num_texts=1
        )
        assert record.cost is not None
        cost[steps] = record.cost.flops_per_token
    assert 2.5 < cost[6] / cost[2] < 3.1
    (causal,) = write(trained["clm"], cache, num_texts=1)
    assert causal.cost is not None
    assert causal.cost.flops_per_token < cost[6] / 2
    weights = trained["clm"].record().num_parameters
    assert causal.cost.flops_per_token > 2 * weights, "each weight is used for each token"


def test_time_is_taken_of_one_and_of_many(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second whenever it is read."""
    clock, fill, sizes = itertools.count(), Clm.fill, []

    def counted(objective: Clm, net: Any, request: Any, vocab: Any) -> Any:
        sizes.append(len(request.holes))
        return fill(objective, net, request, vocab)

    monkeypatch.setattr(Clm, "fill", counted)
    monkeypatch.setattr(throughput, "perf_counter", lambda: float(next(clock)))
    (record,) = write(trained["clm"], cache, again=True, num_texts=17)
    assert record.cost is not None
    assert record.cost.tokens_per_second == NEW
    assert record.cost.tokens_per_second_together == 7 * NEW, "the last batch is filled up"
    assert record.cost.first_token_seconds == 1
    assert record.num_texts == len(items(trained["clm"], record)) == 17
    assert sizes == [1, 1, 7, 7, 7, 1, 1, 1, 1], "to warm up, together, alone and till the first"


def test_nobody_waits_longer_than_for_the_first_token(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extend, passes = Backbone.extend, []
    until = throughput._until_begun

    def counted(*given: Any, **more: Any) -> torch.Tensor:
        passes.append(1)
        return extend(*given, **more)

    def watched(*given: Any) -> float:
        passes.clear()
        seconds = until(*given)
        assert len(passes) == 1
        return seconds

    monkeypatch.setattr(Backbone, "extend", counted)
    monkeypatch.setattr(throughput, "_until_begun", watched)
    write(trained["clm"], cache, again=True, num_texts=2)


def test_memory_is_the_model_and_what_is_held_beyond(
    trained: dict[str, Run], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = write(trained["clm"], cache)
    assert record.cost is not None
    assert (record.cost.peak_memory is not None) == (platform.system() == "Linux")
    if record.cost.peak_memory is not None:
        assert record.cost.peak_memory >= 4 * trained["clm"].record().num_parameters
    monkeypatch.setattr(throughput, "CLEAR_PEAK", Path("/nowhere/at/all"))
    (record,) = write(trained["clm"], cache, again=True)
    assert record.cost is not None
    assert record.cost.peak_memory is None


@pytest.mark.skipif(platform.system() != "Linux", reason="no peak that can begin anew")
def test_a_peak_begins_anew() -> None:
    cpu, size = torch.device("cpu"), 67_000_000
    for _ in range(2):
        before = throughput._held_from_now(cpu)
        assert before is not None
        held = np.ones(size // 8)
        assert throughput._held_at_most(cpu) - before == pytest.approx(held.nbytes, rel=0.1)
        del held
    before = throughput._held_from_now(cpu)
    assert before is not None
    assert throughput._held_at_most(cpu) - before < size / 10, "what was before counts for nothing"
