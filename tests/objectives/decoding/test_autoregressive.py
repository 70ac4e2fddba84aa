"""What is written is what the scores say, whoever writes and however much is cached."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from lmcompare.errors import Unsupported
from lmcompare.model import Backbone
from lmcompare.objectives import (
    T5,
    Bart,
    Clm,
    Fim,
    Glm,
    Hybrid,
    Mdlm,
    Mntp,
    Objective,
    Plm,
    Prefix,
    Ul2,
)
from lmcompare.objectives.decoding.fill_request import FillRequest, FillResult
from lmcompare.objectives.decoding.sampler import NO_TOKEN, Sampler
from lmcompare.view import Text
from lmcompare.vocab import Vocab
from tests.conftest import make_net, make_text, values

GREEDY = Sampler(greedy=True)
# what writes along an order, and how the same order is scored
WRITERS: list[tuple[Objective, str, str]] = [
    (Clm(), "left-to-right", "causal"),
    (Mntp(rate=1, masked=0, random=0, direction="left"), "left-to-right", "causal"),
    (Prefix(), "left-to-right", "prefix"),
    (Plm(), "left-to-right", "left-to-right"),
    (T5(), "left-to-right", "given-length"),
    (T5(architecture="decoder"), "left-to-right", "given-length"),
    (Bart(), "left-to-right", "given-length"),
    (Bart(architecture="decoder"), "left-to-right", "given-length"),
    (Glm(), "left-to-right", "given-length"),
    (Ul2(), "left-to-right", "given-length"),
    (Ul2(architecture="decoder"), "left-to-right", "given-length"),
    (Fim(), "left-to-right", "causal"),
    (Fim(), "fim", "given-length"),
    (Hybrid(), "left-to-right", "causal"),
    (Mdlm(), "left-to-right", "left-to-right"),
]


def request_of(
    text: Text, holes: torch.Tensor, sampler: Sampler = GREEDY, **settings
) -> FillRequest:
    text = replace(text, tokens=text.tokens.masked_fill(holes, 0))  # padding
    generators = tuple(torch.Generator().manual_seed(row) for row in range(len(holes)))
    given = {"any_length": False, "limit": 5, **settings}
    return FillRequest(text=text, holes=holes, sampler=sampler, generators=generators, **given)


def holes_of(text: Text, kind: str) -> torch.Tensor:
    """Of each row others, and other numbers of them."""
    holes = torch.zeros_like(text.visible)
    for row, length in enumerate(text.visible.sum(1).tolist()):
        if kind == "end":
            holes[row, length - 3 - row : length] = True
        if kind in ("one", "any"):
            holes[row, 5 + row : 8 + row + row % 2] = True
        if kind == "any":
            holes[row, 14 + row : 16 + row] = True
    return holes


def clean(vocab: Vocab, rows: int = 5) -> Text:
    """Random text of rows of unlike lengths, without specials inside."""
    text = make_text(vocab, rows=rows)
    tokens = text.tokens.clone()
    tokens[0, 11] = vocab.regular[3]
    tokens[1, -3:] = vocab.pad
    tokens[3, -2:] = vocab.pad
    return replace(text, tokens=tokens, visible=tokens != vocab.pad)


def filled(text: Text, written) -> torch.Tensor:
    """The text with what was written in its holes of given lengths."""
    tokens = text.tokens.masked_fill(written.holes, NO_TOKEN)
    row, column = (written.index != NO_TOKEN).nonzero(as_tuple=True)
    tokens[row, written.index[row, column]] = written.token[row, column]
    assert not (tokens == NO_TOKEN).any()
    return tokens


def likeliest(
    objective: Objective, net: Backbone, text: Text, holes: torch.Tensor, vocab: Vocab, scoring: str
) -> torch.Tensor:
    """Hole by hole from the left, the token that has the best score of all, one text at a time."""
    out = text.tokens.clone()
    for row in range(len(holes)):
        length = int(text.visible[row].sum())
        tokens = text.tokens[row : row + 1, :length].clone()
        asked = holes[row : row + 1, :length]
        candidates = vocab.regular
        tokens[asked] = vocab.regular[0]
        for place in asked[0].nonzero()[:, 0].tolist():
            tries = tokens.repeat(len(candidates), 1)
            tries[:, place] = candidates
            many = Text(
                tokens=tries,
                visible=torch.ones_like(tries, dtype=torch.bool),
                word=text.word[row : row + 1, :length].expand_as(tries),
            )
            scores = objective.score(net, many, vocab, asked.expand_as(tries), scoring=scoring)
            tokens[0, place] = candidates[scores[:, place].argmax()]
        out[row, :length] = tokens[0]
    return out


@pytest.mark.parametrize("kind", values("any", slow=["end", "one"]))
@pytest.mark.parametrize(("objective", "method", "scoring"), WRITERS, ids=str)
def test_the_likeliest_tokens_are_written(
    objective: Objective, method: str, scoring: str, kind: str, vocab: Vocab
) -> None:
    """With a cache and rows of unlike lengths, as without one and row by row."""
    net, text = make_net(vocab, encodes=objective.encodes), clean(vocab)
    holes = holes_of(text, kind)
    try:
        written = objective.fill(net, request_of(text, holes, method=method), vocab)
    except Unsupported:
        assert objective.decoding_methods[method].holes != "any"
        assert kind != "end"
        return
    expected = likeliest(objective, net, text, holes, vocab, scoring)
    assert torch.equal(filled(text, written), expected)


def samplers(settings: frozenset[str]) -> list[Sampler]:
    """Plain draws, and whatever else a way to write obeys."""
    wished = {
        "temperature": 0.7,
        "top_k": 17,
        "repetition_penalty": 1.3,
        "no_repeat_ngram": 2,
        "steps": 2,
        "threshold": 0.3,
        "entropy": 1.1,
    }
    found = [Sampler(**{name: wished[name] for name in wished.keys() & settings})]
    if "greedy" in settings:  # no chain
        found.append(Sampler())
    if "beams" in settings:
        found.append(Sampler(beams=3, length_penalty=0.5, no_repeat_ngram=1))
    if "degeneration_penalty" in settings:
        found.append(Sampler(degeneration_penalty=0.7, candidates=3))
    if "block" in settings:
        found.append(Sampler(block=2))
    return found


def cases() -> Iterator[tuple[Objective, str, str, bool, Sampler]]:
    """Every way to write, into all holes that it can fill, of given and of any length."""
    for objective in [
        *(kind() for kind in (Clm, Prefix, Plm, T5, Bart, Glm, Ul2, Fim, Mdlm, Mntp)),
        *(kind(architecture="decoder") for kind in (T5, Bart)),
    ]:
        for method, filling in objective.decoding_methods.items():
            for any_length in [False, True][: 1 + filling.any_length]:
                for sampler in samplers(filling.settings)[: 1 if objective.name == "mntp" else 9]:
                    if any_length and sampler.degeneration_penalty is not None:
                        continue  # an end is like nothing
                    yield objective, method, filling.holes, any_length, sampler


def called(given: object) -> str:
    if isinstance(given, Objective):
        return given.name + str(getattr(given, "architecture", ""))
    return given.model_dump_json(exclude_unset=True) if isinstance(given, Sampler) else str(given)


def rows_of(written: FillResult) -> list[list[tuple[int, int]]]:
    """What was written where, row by row, in its order."""
    pairs = torch.stack([written.index, written.token], dim=2).tolist()
    return [[(place, token) for place, token in row if place != NO_TOKEN] for row in pairs]


@pytest.mark.parametrize(
    ("objective", "method", "kind", "any_length", "sampler"),
    [
        *cases(),
        (Mdlm(), "ancestral", "end", False, Sampler(block=3, steps=7)),
    ],
    ids=called,
)
def test_a_text_is_the_same_whatever_it_is_written_beside(
    objective: Objective, method: str, kind: str, any_length: bool, sampler: Sampler, vocab: Vocab
) -> None:
    net, text = make_net(vocab, encodes=objective.encodes), clean(vocab)
    text = text.rows(torch.tensor([0, 1]))
    holes = holes_of(text, kind)
    settings = {"method": method, "any_length": any_length}
    written = rows_of(objective.fill(net, request_of(text, holes, sampler, **settings), vocab))
    for row, length in enumerate(text.visible.sum(1).tolist()):
        alone = Text(
            tokens=text.tokens[row : row + 1, :length],
            visible=text.visible[row : row + 1, :length],
            word=text.word[row : row + 1, :length],
        )
        asked = request_of(alone, holes[row : row + 1, :length], sampler, **settings)
        asked = replace(asked, generators=(torch.Generator().manual_seed(row),))
        assert written[row] == rows_of(objective.fill(net, asked, vocab))[0]
        at = {place for place, _ in written[row]}
        assert at <= {*holes[row].nonzero()[:, 0].tolist()}
        assert any_length or len(at) == len(written[row]) == holes[row].sum()
        assert not vocab.is_special(torch.tensor([t for _, t in written[row]], dtype=int)).any()
