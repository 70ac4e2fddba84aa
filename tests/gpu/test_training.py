"""A run on a GPU: the same however often it is interrupted, and what goes wrong is said."""

# ruff: noqa: F401, F811 -- fixtures are imported and asked for by name

from pathlib import Path

import pytest
import torch

from lmcompare import hardware, training
from lmcompare.errors import UserError
from tests.tiny import Trainer, assert_equal, cache, corpus, outcome, tiny, train, unmeasured

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.filterwarnings("default"),
]
ON_GPU = ("runtime.device=cuda", "model.width=64", "model.heads=2", "runtime.save_every=100")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["clm", "mlm", "plm", "t5", "ul2", "hybrid"])
def test_ten_steps_and_ten_are_twenty(
    corpus: Path, train: Trainer, name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "STEPS_UNREAD", 5)
    config = tiny(corpus, name, *ON_GPU, f"runtime.precision={precision}")
    whole = train(config, run=training.Run(train.folder / "whole"))
    run = train(config, stop_at=10)
    assert_equal(train(config, run=run), whole)


def test_a_run_is_near_that_of_a_processor(corpus: Path, train: Trainer) -> None:
    here = outcome(train(tiny(corpus), run=training.Run(train.folder / "here")))
    there = outcome(
        train(tiny(corpus, "clm", "runtime.device=cuda"), run=training.Run(train.folder / "there"))
    )
    for what in ("loss", "gradient_norm", "learning_rate"):
        expected = [line[what] for line in here.metrics]
        assert [line[what] for line in there.metrics] == pytest.approx(expected, rel=1e-3)
    for what in ("step", "tokens", "targets", "flops"):
        assert [line[what] for line in there.metrics] == [line[what] for line in here.metrics]


def test_too_little_memory_is_a_sentence(corpus: Path, train: Trainer) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(2**30 / total)
    try:
        with pytest.raises(UserError, match=r"too small for 20000 rows of 33 tokens at once"):
            train(tiny(corpus, "clm", *ON_GPU, "batch.rows=20000", "model.ffn=2048"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
