"""A network that is no Backbone, and knows little, goes through every kind of evaluation."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lmcompare.config.run import parse_data
from lmcompare.data import Prepared, TokenizerConfig, prepare
from lmcompare.evaluation.generation.measure import measure_generation
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.tasks.measure import measure_task
from lmcompare.evaluation.tasks.options import TaskOptions
from lmcompare.evaluation.tasks.registry import read_tasks
from lmcompare.objectives import Clm, Mlm
from lmcompare.objectives.network import LanguageModel
from lmcompare.runs.loaded_model import LoadedModel, untrained
from lmcompare.runs.results import Results
from lmcompare.view import IGNORE, View
from tests.tiny import sentences
from tests.untrained import contestant

SIZE = 148


class Uniform(nn.Module):
    """Every id is as probable as every other one; a state is which id was read."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.size, self.batch_size, self.width = vocab_size, None, vocab_size
        self.scale = nn.Parameter(torch.ones(()))
        self.device = torch.device("cpu")

    def rows_at_once(self, length: int) -> int:
        return 7

    def log_prob(self, view: View, *, among: Any = None) -> Tensor:
        return torch.where(view.target == IGNORE, 0.0, -math.log(self.size))

    def logits(self, view: View, wanted: Tensor) -> Tensor:
        return torch.zeros(int(wanted.sum()), self.size)

    def states(self, view: View, *, wanted: Tensor | None = None) -> Tensor:
        chosen = view.visible if wanted is None else wanted
        return nn.functional.one_hot(view.tokens[chosen], self.size).float() * self.scale

    def cache(self, view: View, *, capacity: int) -> "Uniform":
        return self

    def select(self, rows: Tensor) -> None: ...

    def extend(self, cache: Any, view: View, wanted: Tensor | None = None) -> Tensor:
        return self.predict(self.states_after(cache, view, wanted))

    def states_after(self, cache: Any, view: View, wanted: Tensor | None = None) -> Tensor:
        chosen = torch.ones_like(view.visible) if wanted is None else wanted
        return nn.functional.one_hot(view.tokens[chosen], self.size).float()

    def predict(self, states: Tensor) -> Tensor:
        return torch.zeros(len(states), self.size)

    def decoding_flops(self, view: View, cache: Any = None) -> int:
        return 3 * view.tokens.numel()

    def head_flops(self, num_states: int) -> int:
        return num_states

    def hidden_states(self, view: View, layers: Any = None) -> Iterator[tuple[int, Tensor]]:
        yield 0, nn.functional.one_hot(view.tokens, self.size).float()

    def attention_maps(self, view: View, layers: Any = None, *, source: bool = False) -> Any:
        yield from ()

    def gradient_influence(self, view: View, position: Tensor, **how: Any) -> Tensor:
        return torch.zeros(view.tokens.shape)


class Nowhere:
    """A text that nothing was trained on."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def token_counts(self) -> np.ndarray:
        return self.prepared.split("train").token_counts()

    def training_text(self, **_: Any) -> Prepared:
        return self.prepared

    def asked_about(self, **_: Any) -> Prepared:
        return self.prepared

    def untrained(self) -> LanguageModel:
        return Uniform(self.prepared.vocab.size)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("uniform")
    (folder / "text.txt").write_text(sentences(601), encoding="utf-8")
    data = parse_data({"source": str(folder / "text.txt"), "document": "line"})
    return prepare(data, TokenizerConfig(kind="word", vocab_size=SIZE), cache=folder / "cache")


@pytest.fixture(params=[Clm(), Mlm()], ids=["clm", "mlm"])
def model(request: pytest.FixtureRequest, prepared: Prepared, tmp_path: Path) -> LoadedModel:
    return contestant(
        Uniform(prepared.vocab.size),
        request.param,
        prepared.tokenizer,
        path=tmp_path,
        results=Results(tmp_path / "eval", tmp_path / "run.json"),
        origin=Nowhere(prepared),
    )


def test_it_is_a_language_model(prepared: Prepared) -> None:
    assert isinstance(Uniform(3), LanguageModel)


def test_every_token_takes_as_many_bits(model: LoadedModel, tmp_path: Path) -> None:
    records = measure_likelihood(model, LikelihoodOptions(max_bytes=500), cache=tmp_path)
    assert records
    for record in records:
        assert record.bits_per_token == pytest.approx(math.log2(model.net.width))
    assert model.results.read(type(records[0])) == sorted(records, key=lambda each: each.stem)


def test_hidden_tokens_do_too(model: LoadedModel, tmp_path: Path) -> None:
    options = InfillingOptions(num_texts=5, length=13)
    answered = [each for each in measure_infilling(model, options, cache=tmp_path) if each.nats]
    assert answered
    vocab = model.tokenizer.vocab
    # an id that may stand there is any, or any that is text where candidates are weighed
    known = [math.log2(vocab.size), math.log2(len(vocab.regular))]
    for each in answered:
        if each.form == "told":
            assert each.bits_per_token in [pytest.approx(bits) for bits in known], each


def test_it_writes_words_at_random(model: LoadedModel, tmp_path: Path) -> None:
    options = GenerationOptions(num_texts=5, prompt_tokens=3, new_tokens=5)
    (record,) = measure_generation(model, options, cache=tmp_path)
    assert record.written is not None
    assert record.written.distinct_1 is not None
    assert record.written.distinct_1 > 0.3, "of some hundred words, each as probable"
    assert record.cost is not None
    assert record.cost.passes_per_token > 0


def test_it_knows_which_word_a_label_hangs_on_and_no_sentence_from_another(
    model: LoadedModel, prepared: Prepared, tmp_path: Path
) -> None:
    (tmp_path / "pairs.tsv").write_text(
        "sentence_good\tsentence_bad\n"
        "the cat ran\tthe old cat ran to the tree\n"
        "the old cat ran to the tree\tthe cat\n"
        "the tree\tthe old tree\n"
    )
    rows = "".join("the cat\tone\nthe tree\ttwo\n" for _ in range(20))
    (tmp_path / "labels.tsv").write_text(f"text\tlabel\n{rows}")
    (tmp_path / "tasks.toml").write_text(
        '[mine]\nkind = "pairs"\ngroup = "grammar"\nfiles = ["pairs.tsv"]\n'
        '[labels]\nkind = "classification"\ngroup = "understanding"\n'
        'train = ["labels.tsv"]\ntest_every = 4\n'
    )
    pairs, labels = read_tasks(tmp_path / "tasks.toml")
    found = measure_task(model, pairs, pairs.read(tmp_path), TaskOptions())
    assert [each.value for each in found] == [2 / 3, 2 / 3], "the shorter one is more probable"
    assert [each.is_untrained for each in found] == [True, True], "no step was spent on it"
    (probe,) = measure_task(
        model, labels, labels.read(tmp_path), TaskOptions(protocols=("probe",), untrained=False)
    )
    assert probe.value == 1.0, "a state is the id that was read"


def test_the_untrained_twin_is_what_the_origin_says(model: LoadedModel) -> None:
    (twin,) = untrained(model)
    assert isinstance(twin.net, Uniform)
    assert twin.net is not model.net
    assert twin.step == 0
