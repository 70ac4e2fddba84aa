"""Texts whose tokens say where they stand, small worlds, and networks that only look."""

from itertools import product

import torch
from scipy.stats import chisquare

from lmcompare.model import Backbone
from lmcompare.objectives import Mntp, Objective
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import ALIASES, Candidates, Vocab
from tests.conftest import TINY, plain_text


def vocab_of(num_words: int, *, num_sentinels: int = 101) -> Vocab:
    """All roles first, then so many words, then sentinels, the first of them at the top."""
    roles = {role: number for number, role in enumerate(ALIASES)}
    size = len(roles) + num_words + num_sentinels
    sentinels = tuple(size - 1 - number for number in range(num_sentinels))
    specials = frozenset(roles.values()) | set(sentinels)
    return Vocab(size=size, roles=roles, specials=specials, sentinels=sentinels)


def numbered(vocab: Vocab, *, rows: int, length: int) -> Text:
    """A start token, and then the words of the vocabulary in turn, each a word by itself.

    So `place_of` finds where any of them stands.
    """
    tokens = torch.cat([torch.tensor([vocab.bos]), vocab.regular[: length - 1]]).repeat(rows, 1)
    return plain_text(tokens, word=torch.arange(length).repeat(rows, 1))


def place_of(vocab: Vocab, token: int) -> int:
    """Where a word of a `numbered` text stands; 0 for what is no word."""
    first = int(vocab.regular[0])
    return token - first + 1 if first <= token < first + len(vocab.regular) else 0


def small_world(size: int = 5) -> Vocab:
    """A vocabulary whose only ids are words, so that every string of them is a text."""
    roles = dict.fromkeys(ALIASES, 0)
    sentinels = (size - 1, size - 2)
    return Vocab(size=size, roles=roles, specials=frozenset(), sentinels=sentinels)


def strings(vocab: Vocab, *, length: int) -> Text:
    """Every string of so many tokens, a row each, behind a start token."""
    each = torch.tensor([[vocab.bos, *rest] for rest in product(range(vocab.size), repeat=length)])
    return plain_text(each, word=torch.arange(length + 1).repeat(len(each), 1))


def small_net(vocab: Vocab, *, encodes: bool = False) -> Backbone:
    """A network of a small world that is no longer near its start."""
    config = TINY.model_copy(update={"encoder_layers": 1}) if encodes else TINY
    net = Backbone(config, vocab_size=vocab.size, seed=1).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(6 if parameter.ndim > 1 else 1)
    return net


def asked_at(text: Text, *places: int) -> torch.Tensor:
    """These places of every row."""
    asked = torch.zeros_like(text.visible)
    asked[:, list(places)] = True
    return asked


def total_by_rest(text: Text, asked: torch.Tensor, scores: torch.Tensor) -> dict[tuple, float]:
    """Of `strings`: the probabilities summed over what is asked, for each choice of the rest."""
    totals: dict[tuple, float] = {}
    for tokens, here, score in zip(text.tokens, asked, scores.double().sum(1).exp(), strict=True):
        rest = tuple(tokens[~here].tolist())
        totals[rest] = totals.get(rest, 0.0) + float(score)
    return totals


def shift_of(objective: Objective) -> int:
    """How many places before its own a hidden token is predicted."""
    return int(isinstance(objective, Mntp))


class Spy:
    """A network that remembers what it was shown and finds everything certain."""

    def __init__(self) -> None:
        self.views: list[View] = []

    def log_prob(self, view: View, *, among: Candidates | None = None) -> torch.Tensor:
        self.views.append(view)
        return torch.zeros(view.tokens.shape)

    def logits(self, view: View, wanted: torch.Tensor) -> torch.Tensor:
        raise AssertionError("no score of the tests that look on needs them")


def logits(net: Backbone, view: View) -> torch.Tensor:
    with torch.no_grad():
        return net.states(view) @ net.embedding.T


def written(view: View, row: int) -> list[int]:
    """The targets of a row, in their order."""
    return view.target[row][view.target[row] != IGNORE].tolist()


def shown(view: View, row: int) -> list[int]:
    """The tokens of a row that may be looked at."""
    return view.tokens[row][view.visible[row]].tolist()


def alike(counts: torch.Tensor | list[int]) -> bool:
    """Whether these may be counts of equally probable things."""
    return bool(chisquare(torch.as_tensor(counts)).pvalue > 1e-4)


def decode(read: list[int], output: list[int], vocab: Vocab) -> list[int]:
    """The text again: each sentinel of the source gives way to what follows it in the output."""
    spans: dict[int, list[int]] = {}
    assert not output or output[-1] == vocab.eos
    for token in output[:-1]:
        if token in vocab.sentinels:
            assert token not in spans, "sentinels are unique"
            spans[token] = []
        else:
            spans[[*spans][-1]].append(token)
    assert [token for token in read if token in vocab.sentinels] == [*spans], "in the same order"
    return [word for token in read for word in spans.get(token, [token])]


def messy(vocab: Vocab, *, rows: int, length: int) -> Text:
    """Random words with end and unknown tokens among them, and padding after some rows."""
    draws = torch.Generator().manual_seed(7)
    tokens = vocab.regular[torch.randint(len(vocab.regular), (rows, length), generator=draws)]
    special = torch.rand(rows, length, generator=draws)
    tokens[special < 0.05] = vocab.eos
    tokens[special > 0.95] = vocab.require("unk")
    size = torch.randint(length // 2, length + 1, (rows, 1), generator=draws)
    visible = torch.arange(length) < size
    tokens[~visible] = vocab.pad
    tokens[:, 0] = vocab.bos
    return Text(tokens=tokens, visible=visible, word=torch.arange(length).repeat(rows, 1))
