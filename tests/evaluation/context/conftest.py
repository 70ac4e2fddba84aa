"""A text in which every token follows from the third before it, and a network that knows that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lmcompare.config.run import parse_data
from lmcompare.data import Prepared, TokenizerConfig, prepare
from lmcompare.objectives import Objective
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.runs.results import Results
from lmcompare.view import IGNORE, View
from tests.untrained import contestant

WORDS = ["cat", "dog", "tree", "house", "river", "stone", "bird"]
BACK = 3  # places before a token
SURE = 5.0  # of the right word, against 0 of all others


def text_of(num_documents: int) -> str:
    """Documents that go through the same words in turn; no two are alike."""
    documents = (
        " ".join(WORDS[(number + place) % len(WORDS)] for place in range(29 + number // 7))
        for number in range(num_documents)
    )
    return "\n\n".join(documents) + "\n"


class ThreeBack(nn.Module):
    """It predicts a token from the third before it, and knows nothing where that is not shown.

    A state is which id it looks at, and a constant.
    """

    def __init__(self, prepared: Prepared, before: int) -> None:
        super().__init__()
        self.size, self.batch_size = prepared.vocab.size, None
        self.width = self.size + 1
        self.before = before  # places before that of the prediction
        self.device = torch.device("cpu")
        # of words after another one: the first of a text has no space before it
        [sentence] = prepared.tokenizer.encode([" ".join(["stone", *WORDS])])
        ids = sentence.ids[1:].tolist()
        self.table = torch.zeros(self.width, self.size)
        for number, each in enumerate(ids):
            self.table[each, ids[(number + BACK) % len(ids)]] = SURE
        self.words = torch.tensor(ids)

    def rows_at_once(self, length: int) -> int:
        return 7

    def _looked_at(self, view: View) -> Tensor:
        places = torch.arange(view.tokens.shape[1]) - self.before
        return view.tokens[:, places.clamp(min=0)]

    def states(self, view: View, *, wanted: Tensor | None = None) -> Tensor:
        seen = self._looked_at(view)
        states = torch.zeros(*seen.shape, self.width)
        states[..., -1] = 0.25
        is_word = torch.isin(seen, self.words)
        states.scatter_(2, seen[..., None], is_word[..., None].float())
        return states[view.visible if wanted is None else wanted]

    def predict(self, states: Tensor) -> Tensor:
        return states @ self.table

    def log_prob(self, view: View, *, among: Any = None) -> Tensor:
        found = torch.zeros(view.tokens.shape)
        wanted = view.target != IGNORE
        said = self.predict(self.states(view, wanted=wanted)).log_softmax(1)
        found[wanted] = said.gather(1, view.target[wanted][:, None])[:, 0]
        return found

    def gradient_influence(self, view: View, position: Tensor, **how: Any) -> Tensor:
        found = torch.zeros(view.tokens.shape)
        index = position - self.before
        found[torch.arange(len(index)), index.clamp(min=0)] = (index >= 0).float() * 0.37
        return found


class Here:
    """Where the text lies."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def training_text(self, **_: Any) -> Prepared:
        return self.prepared

    def asked_about(self, **_: Any) -> Prepared:
        return self.prepared


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("context")
    (folder / "text.txt").write_text(text_of(211), encoding="utf-8")
    data = parse_data({"source": str(folder / "text.txt"), "shares": (0.5, 0.4, 0.1)})
    return prepare(data, TokenizerConfig(kind="word", vocab_size=138), cache=folder / "cache")


Knowing = Callable[[Objective], LoadedModel]


@pytest.fixture
def knowing(prepared: Prepared, tmp_path: Path) -> Knowing:
    """Models that know the text, asked as an objective's are."""

    def make(objective: Objective) -> LoadedModel:
        ahead = 1 if objective.name == "clm" else 0
        folder = tmp_path / objective.name
        return contestant(
            ThreeBack(prepared, BACK - ahead),
            objective,
            prepared.tokenizer,
            path=folder,
            results=Results(folder / "eval", folder / "run.json"),
            origin=Here(prepared),
        )

    return make


@pytest.fixture
def other(tmp_path: Path) -> dict[str, object]:
    """A text in which no token has context on both sides."""
    place = tmp_path / "other.txt"
    place.write_text("cat dog\n\ntree house\n\nriver\n", encoding="utf-8")
    return {"data": parse_data({"source": str(place)})}
