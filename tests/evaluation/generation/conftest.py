"""Runs that write and that judge, and what makes measuring quick."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmcompare.evaluation.generation import measure, throughput
from lmcompare.evaluation.generation.record import WritingCost
from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.run import Run
from tests.evaluation.generation.writing import COST
from tests.tiny import Trainer, sentences, tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path, corpus: Path) -> dict[str, Run]:
    """A run of each objective, a little trained, and two that may judge."""
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    runs = {name: trainer(tiny(corpus, name, "budget=8 steps")) for name in OBJECTIVES}
    wide = ["model.width=36", "model.heads=3", "seed=5"]
    words = ["tokenizer.kind=word", "tokenizer.vocab_size=148", "batch.length=19"]
    runs["judge"] = trainer(tiny(corpus, "clm", "budget=8 steps", *wide))
    more = corpus.with_name("more.txt")
    more.write_text(sentences(1201), encoding="utf-8")
    runs["words"] = trainer(tiny(more, "clm", "budget=8 steps", *wide, *words))
    return runs


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the costs of few texts."""
    monkeypatch.setattr(throughput, "ROWS_TOGETHER", 7)
    monkeypatch.setattr(throughput, "NUM_ALONE", 2)


@pytest.fixture
def scribe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have given tokens written."""

    def writes(texts: Sequence[Sequence[int]]) -> None:
        def written(*_: Any, **__: Any) -> tuple[list[list[int]], WritingCost]:
            return [[*text] for text in texts], COST

        monkeypatch.setattr(measure, "write_and_measure", written)

    return writes
