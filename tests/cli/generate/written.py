"""What `lmcompare generate` is asked, and what the library writes itself."""

import json
import re
from pathlib import Path

import pytest

from lmcompare.generation.generate import generate
from lmcompare.generation.prompts import Request
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.run import Run
from tests.tiny import Said

MORE = ["--max-new-tokens", "7"]
SEED = ["--seed", "1"]  # of which no token is a part of a character


def texts(place: Path, *prompts: str, **settings: object) -> list[str]:
    """What the library writes."""
    model = load_model(Run(place), device="cpu", warn=pytest.fail)
    asked = Request(prompts=prompts, **settings)
    return [sample.text for sample in generate(model, asked).samples]


def jsonl(said: Said) -> list[dict[str, object]]:
    assert said.code == 0, said
    return [json.loads(line) for line in said.out.split("\n")[:-1]]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def visible(text: str) -> str:
    """As a terminal shows it, and not obeys it."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )
