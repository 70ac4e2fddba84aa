"""Models that were never trained, with what goes with a run's last model."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lmcompare.config.run import parse_data
from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.generation.generate import Sample, generate
from lmcompare.generation.prompts import Request
from lmcompare.model import Backbone
from lmcompare.model.kv_cache import KVCache
from lmcompare.objectives import Objective
from lmcompare.objectives.network import LanguageModel
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.origin import Trained
from lmcompare.runs.results import Results
from lmcompare.view import View
from tests.conftest import TINY
from tests.tiny import sentences, tiny

LENGTH = 33  # of the rows that the models were trained on


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Of pieces of words, with the space before them, and single bytes for what it never saw."""
    return Tokenizer.train([sentences(101)], TokenizerConfig(kind="bpe", vocab_size=406))


class Scripted(Backbone):
    """It wants to write certain tokens one after another, whatever it reads."""

    def __init__(self, vocab_size: int, script: list[int]) -> None:
        super().__init__(TINY, vocab_size=vocab_size)
        self.script = iter([*script, *([script[-1]] * LENGTH)])

    def extend(
        self, cache: KVCache, view: View, wanted: torch.Tensor | None = None
    ) -> torch.Tensor:
        logits = torch.zeros_like(super().extend(cache, view, wanted))
        logits[:, next(self.script)] = 99
        return logits


def subject_of(
    objective: Objective, tokenizer: Tokenizer, *, script: list[int] | None = None
) -> LoadedModel:
    """A model that was never trained, as if it had been trained on rows of 33 tokens."""
    config = tiny(Path("nowhere"), "clm").model_copy(update={"objective": objective})
    shape = TINY.model_copy(update={"encoder_layers": 1}) if objective.encodes else TINY
    size = tokenizer.vocab.size
    net = Backbone(shape, vocab_size=size, seed=3) if script is None else Scripted(size, script)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(8 if parameter.ndim > 1 else 1)
    return contestant(net.eval(), objective, tokenizer, seed=config.seed, data=config.data)


def contestant(
    net: LanguageModel, objective: Objective, tokenizer: Tokenizer, **given: Any
) -> LoadedModel:
    """A model that comes from nowhere, asked as if it had been trained on rows of 33 tokens."""
    data = given.pop("data", parse_data({}))
    return LoadedModel(
        objective=objective,
        tokenizer=tokenizer,
        net=net,
        length=LENGTH,
        arm=objective.name,
        trained=Trained(arm=objective.name, num_parameters=0, data=data, tokenizer="", text=""),
        **{
            "path": Path("nowhere"),
            "seed": 0,
            "results": Results(Path("nowhere"), Path("nowhere")),
            "origin": None,
            **given,
        },
    )


def write(model: LoadedModel, *prompts: str, **settings) -> list[Sample]:
    settings = {"max_new_tokens": 5, **settings}
    return generate(model, Request(prompts=prompts, **settings), warn=pytest.fail).samples
