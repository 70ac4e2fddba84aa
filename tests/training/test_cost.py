"""What is foretold of a run is what it then logs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lmcompare.errors import UserError
from lmcompare.objectives import Clm
from lmcompare.training.cost import plan
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab
from tests.conftest import objectives
from tests.tiny import Trainer, tiny


@pytest.mark.parametrize("objective", objectives())
@pytest.mark.parametrize("documents", ["true", "false"])
def test_foretold_and_done(
    corpus: Path, train: Trainer, cache: Path, objective: str, documents: str
) -> None:
    config = tiny(corpus, objective, "budget=8 steps", f"batch.separate_documents={documents}")
    foretold = plan(config, cache=cache)
    run = train(config)
    done, record = run.done(), run.record()
    assert done is not None
    assert foretold.num_parameters == record.num_parameters
    assert foretold.text == record.text
    assert foretold.steps == done.spent.steps == 8
    assert foretold.tokens == done.spent.tokens
    # the same eight batches, but for what an objective changes over training
    assert foretold.targets == pytest.approx(done.spent.targets)
    assert foretold.flops == pytest.approx(done.spent.flops)
    assert foretold.memory > 16 * foretold.num_parameters


@pytest.mark.parametrize(
    "budget", ["49 steps", "103 steps", "12800 tokens", "12801 tokens", "1k targets", "50M flops"]
)
def test_steps_are_those_of_the_run(corpus: Path, train: Trainer, cache: Path, budget: str) -> None:
    """49 and 103 are numbers n for which 1 / (1 / n) is more than n."""
    config = tiny(corpus, "clm", f"budget={budget}", "validation.times=0")
    foretold = plan(config, cache=cache)
    assert foretold.steps is not None
    assert foretold.tokens == 128 * foretold.steps
    if foretold.steps < 30:
        done = train(config).done()
        assert done is not None
        assert foretold.steps == done.spent.steps
    else:
        amount, unit = config.budget.amount, config.budget.unit
        assert foretold.steps == {"steps": amount, "tokens": -(-amount // 128)}[unit]


def test_seconds_are_not_foretold(corpus: Path, cache: Path) -> None:
    foretold = plan(tiny(corpus, "clm", "budget=5 seconds"), cache=cache)
    assert (foretold.steps, foretold.tokens, foretold.targets, foretold.flops) == (None,) * 4
    assert foretold.targets_per_step > 0
    assert foretold.flops_per_step > 0


def test_what_train_would_refuse_is_refused(corpus: Path, cache: Path) -> None:
    for setting, said in (
        ("batch.length=100000", "fewer than one block"),
        ("data.source=nowhere.txt", "nowhere.txt"),
        ("data.shares=[1, 0, 0]", "the validation split has 0 tokens"),
    ):
        with pytest.raises(UserError, match=said):
            plan(tiny(corpus, "clm", setting), cache=cache)


class Copying(Clm):
    """Reads the text in an encoder, and writes it again."""

    @property
    def encodes(self) -> bool:
        return True

    def corrupt(
        self, text: Text, vocab: Vocab, rng: torch.Generator, *, progress: float = 1.0
    ) -> View:
        view = super().corrupt(text, vocab, rng, progress=progress)
        return replace(view, source=View.bidirectional(text.tokens, visible=text.visible))


@pytest.mark.parametrize("match", ["parameters", "flops"])
def test_an_encoder_is_set_beside_a_causal_model(corpus: Path, cache: Path, match: str) -> None:
    plain = tiny(corpus, "clm", "model.layers=4", f"model.match={match}")
    both = plain.model_copy(update={"objective": Copying(), "model": plain.model.with_encoder()})
    alone, foretold = plan(plain, cache=cache), plan(both, cache=cache)
    assert alone.depths == ()
    causal, parameters, flops = foretold.depths
    assert (causal.match, causal.encoder_layers, causal.layers) == (None, 0, 4)
    assert (causal.parameters_ratio, causal.flops_ratio) == (1, 1)
    assert causal.num_parameters == alone.num_parameters
    assert causal.flops_per_step == alone.flops_per_step
    assert (parameters.match, flops.match) == ("parameters", "flops")
    assert abs(parameters.parameters_ratio - 1) < 0.1
    assert (flops.encoder_layers, flops.layers) == (4, 4)
    assert flops.parameters_ratio > 1.8
    chosen = {"parameters": parameters, "flops": flops}[match]
    assert chosen.num_parameters == foretold.num_parameters
    assert chosen.flops_per_step == foretold.flops_per_step
    assert (chosen.encoder_layers, chosen.layers) == (foretold.encoder_layers, foretold.layers)
    assert chosen.flops_ratio == foretold.flops_per_step / alone.flops_per_step
    assert foretold.memory > 16 * foretold.num_parameters
