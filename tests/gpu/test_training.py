"""A run on a GPU: the same however often it is interrupted, and what goes wrong is said."""

from pathlib import Path

import pytest
import torch

from lmcompare import devices
from lmcompare.errors import UserError
from lmcompare.objectives import OBJECTIVES
from lmcompare.training import trainer
from tests.gpu.devices import GPU_ONLY, gpu_only
from tests.tiny import Trainer, assert_equal, outcome, tiny

WIDE = ("model.width=64", "model.heads=2", "runtime.save_every=100")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "device"),
    [("clm", "cpu"), *(pytest.param(name, "cuda", marks=GPU_ONLY) for name in OBJECTIVES)],
)
def test_ten_steps_and_ten_are_twenty(
    corpus: Path,
    train: Trainer,
    name: str,
    device: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "STEPS_UNREAD", 5)
    settings = f"runtime.device={device}", f"runtime.precision={precision}"
    config = tiny(corpus, name, *WIDE, *settings)
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    run = train(config, stop_at=10)
    assert_equal(train(config, run=run), whole)


def test_a_run_is_near_that_of_a_processor(
    corpus: Path, train: Trainer, device: torch.device
) -> None:
    here = outcome(train(tiny(corpus), run=trainer.Run(train.folder / "here")))
    there = outcome(
        train(
            tiny(corpus, "clm", f"runtime.device={device}"),
            run=trainer.Run(train.folder / "there"),
        )
    )
    for what in ("loss", "gradient_norm", "learning_rate"):
        expected = [line[what] for line in here.metrics]
        assert [line[what] for line in there.metrics] == pytest.approx(expected, rel=1e-3)
    for what in ("step", "tokens", "targets", "flops"):
        assert [line[what] for line in there.metrics] == [line[what] for line in here.metrics]


@gpu_only
def test_too_little_memory_is_a_sentence(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "clm", "runtime.device=cuda", *WIDE, "batch.rows=20000", "model.ffn=2048")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(2**30 / total)
    try:
        with pytest.raises(UserError, match=r"too small for 20000 rows of 33 tokens at once"):
            train(config)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
