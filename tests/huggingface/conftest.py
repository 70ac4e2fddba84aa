"""Runs, and what they are to transformers."""

from pathlib import Path

import pytest

from lmcompare.huggingface import HF_MODELS, export_hf
from lmcompare.runs.run import Run
from tests.huggingface.exports import EXPORTABLE, kind_of
from tests.tiny import Trainer, tiny


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, cache: Path, corpus: Path) -> dict[str, Run]:
    """A run of each objective whose network transformers has, a little trained."""
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    return {name: trainer(tiny(corpus, name, "budget=8 steps")) for name in EXPORTABLE}


@pytest.fixture(scope="session")
def exported(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    places = {name: tmp_path_factory.mktemp("exported") / name for name in runs}
    for name, run in runs.items():
        assert export_hf(run, places[name]) == HF_MODELS[kind_of(name)]
    return places
