"""Runs that write."""

from pathlib import Path

import pytest

from tests.tiny import Trainer, sentences, tiny


@pytest.fixture(scope="session")
def places(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that learned little: three in the folder `study`, and two elsewhere."""
    folder = tmp_path_factory.mktemp("study")
    train, other = Trainer(folder, cache), Trainer(folder.with_name("other"), cache)
    names = ("clm", "mdlm", "t5")
    runs = {name: train(tiny(corpus, name, "budget=61 steps")).path for name in names}
    words = ("tokenizer.kind=word", "tokenizer.vocab_size=148", "budget=3 steps")
    text = folder.with_name("words.txt")
    text.write_text(sentences(907), encoding="utf-8")
    return {
        **runs,
        "study": folder,
        "word": other(tiny(text, "clm", *words)).path,
        "fim": other(tiny(corpus, "fim", "budget=3 steps")).path,
    }
