"""One text under all objectives, with a tokenizer that knows its words."""

import pytest

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.teaching.views import Views, views_of

TEXT = "the cat sat on the mat because it was tired and the dog slept by the old tree"


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    return Tokenizer.train([TEXT, f" {TEXT}"] * 5, TokenizerConfig())


@pytest.fixture(scope="session")
def views(words: Tokenizer) -> Views:
    return views_of(TEXT, [parse_objective(name) for name in OBJECTIVES], words, seed=3)
