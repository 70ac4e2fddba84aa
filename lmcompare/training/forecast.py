"""What the evaluation of a run would cost, and how long it and training would take on this machine.

The cost of evaluation is counted: the objective is asked as in the evaluation itself, about a
sample of the same texts, of a model that computes nothing and counts what it was asked for. Times
are estimates: operations, divided by a usual share of the rate at which this machine multiplies
matrices. They hold within a factor of about two where nothing else runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from lmcompare import devices
from lmcompare.config.run import RunConfig
from lmcompare.data import Prepared
from lmcompare.devices import Precision
from lmcompare.errors import Unsupported
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.infilling import measure
from lmcompare.evaluation.infilling.hidden_texts import HiddenTexts
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.measure import batches, up_to, windows_of
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.evaluation.windows import stack
from lmcompare.model import ModelConfig
from lmcompare.model.flops import forward_flops
from lmcompare.model.prefix_sharing import PrefixSharing
from lmcompare.objectives.network import LanguageModel
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.origin import Trained
from lmcompare.runs.results import Results
from lmcompare.training.trainer import read_text
from lmcompare.view import IGNORE, View
from lmcompare.vocab import Candidates

WINDOWS, TEXTS = 6, 32  # sampled: of each batch, and of those with hidden tokens
# Share of the rate of large matrix products that is usually reached: 0.5 to 0.65 in training and
# scoring nano models (clm, mlm) on one core of a server's processor.
SHARE = 0.6


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Operations and seconds; None of training under a budget of seconds."""

    likelihood_flops: float  # of `lmcompare eval` with its default options
    infilling_flops: float  # of `lmcompare eval --tasks infilling`
    training_seconds: float | None
    likelihood_seconds: float
    infilling_seconds: float


class Counter:
    """A model that computes nothing and counts the operations of what it is asked for."""

    def __init__(self, config: ModelConfig, vocab_size: int):
        self._config, self._vocab_size = config, vocab_size
        self.flops = 0.0

    def log_prob(self, view: View, *, among: Candidates | None = None) -> Float[Tensor, "B T"]:
        """Count a forward pass over `view`; a prefix that rows share is counted once."""
        flops = forward_flops(self._config, self._vocab_size, view)
        shared = PrefixSharing.of(view)
        self.flops += (
            flops if shared is None else flops * len(shared.computed) / view.tokens.numel()
        )
        return torch.zeros(view.tokens.shape)

    def logits(self, view: View, wanted: Bool[Tensor, "B T"]) -> Float[Tensor, "N V"]:
        """Count a forward pass that predicts at the wanted positions."""
        predicting = view.predicting(view.tokens.where(wanted, IGNORE), wanted.float())
        self.flops += forward_flops(self._config, self._vocab_size, predicting)
        return torch.zeros(int(wanted.sum()), self._vocab_size)


class Forecaster:
    """Forecasts for several runs; how fast a device multiplies is measured once.

    Args:
        cache: folder of prepared corpora.
    """

    def __init__(self, cache: Path):
        self._cache = cache
        self._rates: dict[tuple[str, Precision], float] = {}

    def forecast(self, config: RunConfig, flops: float | None) -> Forecast:
        """Say what evaluating a run of this configuration costs, and how long all of it takes.

        Args:
            config: of the run.
            flops: of its training; None if that is not known.

        Raises:
            UserError: whatever `train` would refuse before its first step.
        """
        prepared = read_text(config, cache=self._cache)
        counter = Counter(config.model, prepared.vocab.size)
        net = cast(LanguageModel, counter)
        model = LoadedModel(
            objective=config.objective,
            tokenizer=prepared.tokenizer,
            net=net,
            length=config.batch.length,
            path=Path(),
            arm="",
            seed=config.seed,
            results=Results(Path(), Path()),
            origin=_ToBeTrained(prepared, net),
            trained=Trained(
                arm="", num_parameters=0, data=config.data, tokenizer="", text=prepared.hash
            ),
        )
        likelihood = _likelihood(model, counter, cache=self._cache)
        hidden = _infilling(model, counter, cache=self._cache)
        device = devices.choose_device(config.runtime.device)
        slow = config.runtime.precision == "float32" or device.type == "cpu"
        usual: Precision = "float32" if slow else "bfloat16"
        precision = "bfloat16" if config.runtime.precision == "bfloat16" else usual
        scoring = self._rate(device, "float32") * SHARE
        return Forecast(
            likelihood_flops=likelihood,
            infilling_flops=hidden,
            training_seconds=flops and flops / (self._rate(device, precision) * SHARE),
            likelihood_seconds=likelihood / scoring,
            infilling_seconds=hidden / scoring,
        )

    def _rate(self, device: torch.device, precision: Precision) -> float:
        key = (device.type, precision)
        if key not in self._rates:
            self._rates[key] = devices.matmul_rate(device, precision)
        return self._rates[key]


@dataclass(frozen=True)
class _ToBeTrained:
    """The text that a model is going to be trained on, and the model as it starts."""

    prepared: Prepared
    net: LanguageModel

    def token_counts(self) -> Int[ndarray, " V"]:
        return self.prepared.split("train").token_counts()

    def training_text(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        return self.prepared

    def asked_about(self, *, cache: Path, warn: Callable[[str], None]) -> Prepared:
        return self.prepared

    def untrained(self) -> LanguageModel:
        return self.net


def _silent(text: str) -> None:
    """Say nothing: `plan` has warned of the same."""


def _likelihood(model: LoadedModel, counter: Counter, *, cache: Path) -> float:
    options = LikelihoodOptions()
    found = heldout_text.documents(model, options, cache=cache, warn=_silent)
    documents = list(up_to(found, options.max_bytes, model.tokenizer))
    length, total = model.length, 0.0
    for name, how in model.objective.scorings.items():
        if "text" not in how.answers:
            continue
        for batch in batches(windows_of(documents, how, window=length, stride=length // 2)):
            some = batch[
                :: -(-len(batch) // WINDOWS)
            ]  # with the longest, to which others are padded
            counter.flops = 0.0
            model.log_prob(*stack(some, documents, model.tokenizer.vocab), name)
            total += counter.flops * len(batch) / len(some)
    return total


def _infilling(model: LoadedModel, counter: Counter, *, cache: Path) -> float:
    texts = HiddenTexts.drawn(model, InfillingOptions(), cache=cache, warn=_silent)
    num, total = len(texts.rows.tokens), 0.0
    some = torch.arange(0, num, -(-num // TEXTS))
    for question in measure.questions(model.objective):
        mask = texts.hidden[question[-1]]
        counter.flops = 0.0
        try:
            measure.answer(
                model, texts.rows.rows(some), mask[some], *question, lambda what, share: None
            )
        except Unsupported:
            continue  # what is not answered costs nothing
        total += counter.flops * num / len(some)
    return total
