"""Shapes in signatures can be enforced while testing; sizes here are distinct primes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from jaxtyping import config, install_import_hook

WITH_SHAPES = (
    *("model", "view", "vocab", "optim", "data", "generation", "objectives.decoding.sampler"),
    *("evaluation.windows", "evaluation.span_scoring", "evaluation.generation"),
    "evaluation.tasks.classification_metrics",
)
if not torch.cuda.is_available():  # where things are compiled: no compiler looks into such checks
    install_import_hook([f"lmcompare.{part}" for part in WITH_SHAPES], "beartype.beartype")

from lmcompare.model import Backbone, ModelConfig  # noqa: E402
from lmcompare.objectives import OBJECTIVES  # noqa: E402
from lmcompare.view import Text  # noqa: E402
from lmcompare.vocab import ALIASES, Vocab  # noqa: E402
from tests import DATA, ROOT  # noqa: E402

# Whose fixtures every test may ask for; they are read after this file, so with the hook in place.
pytest_plugins = ["tests.browser", "tests.tiny", "tests.untrained"]

ROWS, LENGTH, SIZE = 5, 23, 61

# The same examples every time: a commit passes or fails, whatever the day.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


def values(*fast: object, slow: Iterable[object]) -> list[Any]:
    """Return the values of a parameter, of which some are tried with the slow tests only."""
    return [*fast, *(pytest.param(each, marks=pytest.mark.slow) for each in slow)]


def objectives() -> list[Any]:
    """Return the names of all objectives; the fast tests take one of each way of reading."""
    fast = ("clm", "prefix", "plm", "t5", "mdlm", "hybrid")
    return values(*fast, slow=[each for each in OBJECTIVES if each not in fast])


# Where the fast tests check shapes; everywhere, it would take half of their time.
SHAPED = {
    "data/test_order.py",
    "generation/test_generate.py",
    "model/test_backbone.py",
    "objectives/test_contract.py",
    "evaluation/tasks/test_minimal_pairs.py",
    "evaluation/likelihood/test_measure.py",
    "evaluation/likelihood/test_tokenizers.py",
    "evaluation/test_windows.py",
    "objectives/decoding/test_sampler.py",
    "test_shapes.py",
    "test_view.py",
}


@pytest.fixture(autouse=True)
def _shapes(request: pytest.FixtureRequest) -> None:
    """Enforce shapes in tests that go through all of the code, and in `make test-all` in all."""
    place = request.path.relative_to(ROOT / "tests").as_posix()
    everywhere = not request.config.option.markexpr
    config.update("jaxtyping_disable", not (everywhere or place in SHAPED))


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    torch.manual_seed(0)


@pytest.fixture
def vocab() -> Vocab:
    """Specials at the bottom, seven sentinels at the top, text between."""
    roles = {role: number for number, role in enumerate(ALIASES)}
    sentinels = tuple(SIZE - 1 - number for number in range(7))
    return Vocab(
        size=SIZE,
        roles=roles,
        specials=frozenset(roles.values()) | set(sentinels),
        sentinels=sentinels,
        sentence_ends=frozenset({len(roles), len(roles) + 1}),
    )


def make_text(vocab: Vocab, *, rows: int = ROWS, length: int = LENGTH, seed: int = 0) -> Text:
    """Random text: a start token, an end token inside, words of one to three tokens, padding."""
    rng = torch.Generator().manual_seed(seed)
    choice = torch.randint(len(vocab.regular), (rows, length), generator=rng)
    tokens = vocab.regular[choice]
    tokens[:, 0] = vocab.bos
    tokens[0, length // 2] = vocab.eos
    tokens[1, -3:] = vocab.pad
    starts = torch.rand(rows, length, generator=rng) < 0.6
    starts[:, :2] = True
    return Text(tokens=tokens, visible=tokens != vocab.pad, word=starts.long().cumsum(1) - 1)


def plain_text(
    tokens: torch.Tensor, *, word: torch.Tensor, document: torch.Tensor | None = None
) -> Text:
    """Text without padding."""
    visible = torch.ones_like(tokens, dtype=torch.bool)
    return Text(tokens=tokens, visible=visible, word=word, document=document)


@pytest.fixture
def text(vocab: Vocab) -> Text:
    return make_text(vocab)


TINY = ModelConfig.model_validate(
    {"preset": "nano", "layers": 2, "width": 24, "heads": 3, "ffn": 29}
)


def make_net(vocab: Vocab, *, encodes: bool = False) -> Backbone:
    """A network far from its initial state, so that nothing is hidden by symmetry."""
    config = TINY.model_copy(update={"encoder_layers": 2}) if encodes else TINY
    made = Backbone(config, vocab_size=vocab.size, seed=3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1 + torch.rand_like(parameter)).mul_(8 if parameter.ndim > 1 else 1)
    return made.eval()


@pytest.fixture
def net(vocab: Vocab) -> Backbone:
    return make_net(vocab)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real corpora, where they lie beside the checkout."""
    if not DATA.is_dir():
        pytest.skip("no corpora beside the checkout")
    return DATA
