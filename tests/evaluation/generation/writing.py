"""What the tests of writing ask for, and how they read what comes of it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lmcompare.config.run import parse_data
from lmcompare.data import prepare
from lmcompare.evaluation.generation import measure
from lmcompare.evaluation.generation.judge import Judge
from lmcompare.evaluation.generation.measure import measure_generation
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.generation.record import GenerationItem, GenerationRecord, WritingCost
from lmcompare.runs.run import Run

PROMPT, NEW, NUM = 7, 11, 5
COST = WritingCost(
    passes_per_token=1,
    flops_per_token=2,
    tokens_per_second=3,
    tokens_per_second_together=5,
    rows_together=7,
    first_token_seconds=11,
    peak_memory=13,
    num_alone=17,
    device="an abacus",
    threads=1,
)


def write(
    run: Run, cache: Path, *, judge: Judge | None = None, warn: Any = pytest.fail, **given: Any
) -> list[GenerationRecord]:
    """With the fields of `GenerationOptions`."""
    usual = {"device": "cpu", "num_texts": NUM, "prompt_tokens": PROMPT, "new_tokens": NEW}
    return measure_generation(
        run,
        GenerationOptions(**(usual | given)),
        cache=cache,
        judge=judge,
        warn=warn,
    )


def items(run: Run, record: GenerationRecord) -> list[GenerationItem]:
    return run.results.items(record, GenerationItem)


def judged_by(run: Run, *, uniform: bool = False) -> Judge:
    judge = Judge.load(run, device="cpu", warn=pytest.fail)
    if uniform:
        with torch.no_grad():
            judge.model.net.embedding.zero_()
    return judge


def other(tmp_path: Path, *documents: str) -> dict[str, Any]:
    """Another text to take prompts from."""
    path = tmp_path / "other.txt"
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return {"data": parse_data({"source": str(path)})}


def training_tokens(run: Run, cache: Path) -> list[int]:
    config = run.record().config
    split = prepare(config.data, config.tokenizer, cache=cache).split("train")
    return [token for part in measure._stream(split) for token in part.tolist()]
