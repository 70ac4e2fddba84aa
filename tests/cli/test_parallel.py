"""Runs of a study side by side: the same runs, and none takes another down."""

# ruff: noqa: F401, F811 -- fixtures are imported and asked for by name

from pathlib import Path

import pytest
import torch

from lmcompare import training
from lmcompare.config import RunConfig
from lmcompare.runs import Run
from lmcompare_cli import parallel
from tests.tiny import Command, assert_equal, cache, command, corpus, flags, tiny, unmeasured


def test_runs_side_by_side_are_the_runs_one_after_another(corpus: Path, command: Command) -> None:
    options = [*flags(corpus), "-o", "mlm", "--seed", "0", "--seed", "1"]
    alone = command("train", *options, "--out", "alone")
    together = command("train", *options, "--out", "together", "--parallel", "2")
    assert (alone.code, together.code) == (0, 0), together.err
    one, two = ([Run(Path(line)) for line in said.out.split()] for said in (alone, together))
    names = [[run.path.name for run in runs] for runs in (one, two)]
    assert sorted(names[0]) == sorted(names[1])
    assert len(names[0]) == 2
    for left in one:
        (right,) = [run for run in two if run.path.name == left.path.name]
        assert_equal(left, right)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "the memory of this machine is too small"),
        (ZeroDivisionError("x"), "this is a fault of lmcompare, ZeroDivisionError: x"),
    ],
)
def test_what_nobody_foresaw_ends_one_run(
    corpus: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(training, "train", fails)
    monkeypatch.delenv("LMCOMPARE_TRACEBACK", raising=False)
    given = tiny(corpus).model_dump_json()
    ended = parallel._train("clm", given, tmp_path, False, cache)
    assert ended.error.startswith(said)
    assert ended.exit_code == 0
