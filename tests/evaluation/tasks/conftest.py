"""Two small tasks in a folder, and a run to ask."""

import json
from pathlib import Path

import pytest

from lmcompare.runs.run import Run
from tests.evaluation.tasks.small_tasks import PAIRS, TOML
from tests.tiny import Trainer, tiny


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "tasks.toml").write_text(TOML)
    (folder / "order.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    **{"sentence_good": good, "sentence_bad": bad},
                    "length": "long" if len(good) > 15 else "short",
                }
            )
            + "\n"
            for good, bad in PAIRS
        )
    )
    (folder / "last.jsonl").write_text('{"text": "the old dog saw a cat"}\n{"text": "a dog ran"}\n')
    return folder


@pytest.fixture
def run(train: Trainer, corpus: Path) -> Run:
    return train(tiny(corpus))
