"""Runs that are asked about hidden tokens."""

from pathlib import Path

import pytest

from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.run import Run
from tests.tiny import Trainer, tiny


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    cache: Path,
    corpus: Path,
) -> dict[str, Run]:
    """A run of each objective, a little trained."""
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    return {name: trainer(tiny(corpus, name, "budget=8 steps")) for name in OBJECTIVES}
