"""Runs that score a text, and the text."""

from pathlib import Path

import pytest

from lmcompare.objectives import OBJECTIVES
from lmcompare.runs.run import Run
from tests.tiny import Trainer, sentences, tiny


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    cache: Path,
    corpus: Path,
) -> dict[str, Run]:
    """A run of each objective, a little trained."""
    trainer = Trainer(tmp_path_factory.mktemp("runs"), cache)
    return {name: trainer(tiny(corpus, name, "budget=8 steps")) for name in OBJECTIVES}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Three documents, one of them shorter and two longer than a window."""
    path = tmp_path / "other.txt"
    path.write_text("The café.\n\n" + sentences(2, seed=9), encoding="utf-8")
    return path


TOKENIZERS = ("bpe", "word", "unigram", "bytes", "characters")


@pytest.fixture(scope="session")
def tokenized(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, Run]:
    """A run with each tokenizer."""
    folder = tmp_path_factory.mktemp("tokenized")
    corpus = folder / "text.txt"
    corpus.write_text(sentences(997), encoding="utf-8")
    return {
        kind: Trainer(folder / kind, cache)(
            tiny(corpus, "clm", "budget=2 steps", f"tokenizer.kind={kind}")
        )
        for kind in TOKENIZERS
    }
