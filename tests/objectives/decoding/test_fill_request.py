"""Texts with holes: which they are, their random numbers, and what was read before them."""

from dataclasses import replace

import pytest
import torch

from lmcompare.errors import Unsupported
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES, T5, Bart, Clm, Fim, Glm, Objective, Prefix
from lmcompare.objectives.corruption.noise import NO_INDEX
from lmcompare.objectives.decoding.fill_request import DecodeStep, FillRequest, FillResult
from lmcompare.objectives.decoding.sampler import NO_TOKEN, Sampler
from lmcompare.view import Text, View
from lmcompare.vocab import Vocab
from tests.conftest import make_net, make_text, plain_text

LENGTH = 23


def clean(vocab: Vocab, rows: int) -> Text:
    tokens = make_text(vocab, rows=5).tokens[2 : 2 + rows]
    return plain_text(tokens, word=torch.arange(LENGTH).expand(rows, -1))


def request_of(text: Text, holes: torch.Tensor, **settings) -> FillRequest:
    given = {"any_length": False, "limit": 5, "sampler": Sampler(), **settings}
    generators = tuple(torch.Generator().manual_seed(row) for row in range(len(holes)))
    return FillRequest(text=text, holes=holes, generators=generators, **given)


def marked(*rows: str) -> torch.Tensor:
    return torch.tensor([[each == "_" for each in row] for row in rows])


def text_of(*rows: str) -> Text:
    visible = torch.tensor([[each != " " for each in row] for row in rows])
    return Text(tokens=visible.long(), visible=visible, word=visible.long())


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (["xx__", "x___"], "end"),
        (["x__ ", "x___"], "end"),
        (["x_x ", "x___"], "one"),
        (["x_x_", "x___"], "any"),
        (["x___", "x_x_"], "any"),
        (["xxxx", "x___"], "end"),
    ],
    ids=str,
)
def test_the_kind_of_holes_is_that_of_the_hardest_row(rows: list[str], kind: str) -> None:
    assert request_of(text_of(*rows), marked(*rows)).kind == kind


def test_the_first_numbers_do_not_depend_on_how_many_are_drawn() -> None:
    text, holes = text_of("xx__", "x___"), marked("xx__", "x___")
    many = request_of(text, holes).uniform(101)
    assert many.dtype == torch.float64
    assert ((many >= 0) & (many < 1)).all()
    for num in range(101):
        assert torch.equal(request_of(text, holes).uniform(num), many[:, :num])


def test_numbers_of_places_do_not_depend_on_padding_or_on_other_rows() -> None:
    narrow = request_of(text_of("xx__"), marked("xx__"))
    wide = request_of(text_of("xx__  ", "x_x_x_"), marked("xx__  ", "x_x_x_"))
    for _ in range(3):
        found = wide.uniform_at(wide.holes)
        assert torch.equal(found[:1, :4], narrow.uniform_at(narrow.holes))
        assert (found[~wide.holes] == 0).all()
    one_by_one = [narrow.uniform(1) for _ in range(4)]
    again = request_of(text_of("xx__"), marked("xx__"))
    for _ in range(3):
        again.uniform_at(again.holes)
    assert torch.equal(torch.cat(one_by_one, 1), again.uniform(4))


@pytest.mark.parametrize("num", [0, 3])
@pytest.mark.parametrize("name", [*OBJECTIVES])
def test_a_row_without_holes_stays_as_it_is(name: str, num: int, vocab: Vocab) -> None:
    """Beside one that has some, and where nothing is to be written at all."""
    objective = OBJECTIVES[name]()
    net, text = make_net(vocab, encodes=objective.encodes), clean(vocab, 2)
    holes = torch.zeros_like(text.visible)
    holes[1, LENGTH - num :] = True
    written = objective.fill(net, request_of(text, holes), vocab)
    assert (written.token[0] == NO_TOKEN).all()
    assert (written.token[1] != NO_TOKEN).sum() == num


@pytest.mark.parametrize("name", [*OBJECTIVES])
def test_what_stands_in_a_hole_is_of_no_account(name: str, vocab: Vocab) -> None:
    objective = OBJECTIVES[name]()
    net, text = make_net(vocab, encodes=objective.encodes), clean(vocab, 2)
    holes = torch.zeros_like(text.visible)
    holes[:, -3:] = True
    for any_length in (False, True):
        found = []
        for filler in (vocab.pad, vocab.mask, vocab.eos, vocab.sentinels[0], int(vocab.regular[9])):
            other = replace(text, tokens=text.tokens.masked_fill(holes, filler))
            asked = request_of(other, holes, any_length=any_length)
            try:
                found.append(objective.fill(net, asked, vocab).token.tolist())
            except Unsupported:
                found.append(None)
        assert found == found[:1] * 5


LOOKING: list[Objective] = [Clm(), Prefix(), T5(architecture="decoder"), Bart(), Glm(), Fim()]


@pytest.mark.parametrize("objective", LOOKING, ids=lambda given: given.name)
def test_what_was_read_is_not_said_again(objective: Objective, vocab: Vocab) -> None:
    """In the prompt, too; in a batch of rows of unlike lengths."""
    net, text = make_net(vocab, encodes=objective.encodes), clean(vocab, 3)
    holes = torch.zeros_like(text.visible)
    for row in range(3):
        holes[row, 7 + 3 * row :] = True
    written = {}
    for length in (None, 1, 2):
        sampler = Sampler(no_repeat_ngram=length, top_k=5) if length else Sampler(top_k=5)
        given = objective.fill(net, request_of(text, holes, sampler=sampler), vocab)
        written[length] = [
            _said(text.tokens[row, : 7 + 3 * row].tolist(), given, row) for row in range(3)
        ]
    assert all(_again(*each, 1) for each in written[None]), "or this shows nothing"
    assert any(_again(*each, 2) for each in written[None])
    assert not any(_again(*each, 1) for each in written[1])
    assert not any(_again(*each, 2) for each in written[2])


def _said(prompt: list[int], written: FillResult, row: int) -> tuple[list[int], int]:
    new = [token for token in written.token[row].tolist() if token != NO_TOKEN]
    return prompt + new, len(prompt)


def _again(tokens: list[int], start: int, length: int) -> bool:
    """Whether what stands from `start` on ends some n-gram that stood before."""
    grams = [tuple(tokens[end - length : end]) for end in range(length, len(tokens) + 1)]
    first = max(0, start - length + 1)
    return any(gram in grams[:number] for number, gram in enumerate(grams) if number >= first)


@pytest.mark.parametrize("objective", [Clm(), Glm()], ids=lambda given: given.name)
def test_what_was_read_is_rarer_by_the_penalty(objective: Objective, vocab: Vocab) -> None:
    """Greedy, so that it is the argmax of what the model says, those tokens penalised."""
    net, text = make_net(vocab), clean(vocab, 1)
    holes = torch.zeros_like(text.visible)
    holes[:, -1] = True
    sampler = Sampler(greedy=True, repetition_penalty=1e9)
    (token,) = (
        objective.fill(net, request_of(text, holes, sampler=sampler), vocab).token[0].tolist()
    )
    plain = objective.fill(net, request_of(text, holes, sampler=Sampler(greedy=True)), vocab)
    candidates = vocab.regular
    tries = text.tokens.repeat(len(candidates), 1)
    tries[:, -1] = candidates
    many = plain_text(tries, word=torch.arange(LENGTH).expand(len(candidates), -1))
    scores = objective.score(net, many, vocab, holes.expand(len(candidates), -1))[:, -1]
    assert int(plain.token) == int(candidates[scores.argmax()])
    new = ~torch.isin(candidates, text.tokens[0, :-1])
    assert token in candidates[new], "so heavy a penalty leaves what was not said"


class Fond(Backbone):
    """It always wants the same token."""

    def __init__(self, net: Backbone, token: int) -> None:
        super().__init__(net.config, vocab_size=net.vocab_size)
        self.token = token

    def extend(self, cache, view: View, wanted=None) -> torch.Tensor:
        logits = torch.zeros_like(super().extend(cache, view, wanted))
        logits[:, self.token] = 9
        return logits


def test_what_is_no_text_may_come_again(net: Backbone, vocab: Vocab) -> None:
    """As the end of one hole must not keep another one from ending."""
    text = clean(vocab, 2)
    holes = torch.zeros_like(text.visible)
    holes[:, [5, 9, 14]] = True
    for setting in ({"no_repeat_ngram": 1}, {"repetition_penalty": 1e9}):
        sampler = Sampler(greedy=True, **setting)
        request = request_of(text, holes, sampler=sampler, any_length=True)
        written = Glm().fill(Fond(net, vocab.eos), request, vocab)
        assert (written.token == NO_TOKEN).all()


def test_padding_does_not_part_what_was_read(net: Backbone, vocab: Vocab) -> None:
    """GLM reads a start token after the context; with padding between, in rows that are shorter."""
    text, token = clean(vocab, 2), int(vocab.regular[3])
    text.tokens[0, 13] = token
    text.tokens[0, 14:] = vocab.pad
    text = replace(text, visible=text.tokens != vocab.pad)
    holes = torch.zeros_like(text.visible)
    holes[:, [5, 9]] = True
    sampler = Sampler(greedy=True, no_repeat_ngram=3)
    fond = Fond(net, token)
    together = Glm().fill(fond, request_of(text, holes, sampler=sampler), vocab)
    alone = replace(
        text.rows(torch.tensor([0])),
        tokens=text.tokens[:1, :14],
        visible=text.visible[:1, :14],
        word=text.word[:1, :14],
    )
    single = Glm().fill(fond, request_of(alone, holes[:1, :14], sampler=sampler), vocab)
    assert single.token[0].tolist() == together.token[0].tolist()


def test_what_was_written_is_told_in_the_order_of_the_text() -> None:
    """Tokens of one hole of any length share an index, and stay as they came."""
    token = torch.tensor([[5, 3, NO_TOKEN, 7], [11, 2, 13, NO_TOKEN]])
    index = torch.tensor([[9, 2, NO_INDEX, 4], [3, 3, 1, NO_INDEX]])
    written = FillResult(token=token, index=index, holes=torch.zeros(2, 17, dtype=torch.bool))
    assert [written.in_order(row) for row in range(2)] == [
        [(2, 3), (4, 7), (9, 5)],
        [(1, 13), (3, 11), (3, 2)],
    ]


@pytest.mark.parametrize(
    ("name", "method"),
    [(name, each) for name in OBJECTIVES for each in OBJECTIVES[name]().decoding_methods],
)
def test_a_method_says_whether_it_writes_in_the_order_of_the_text(
    name: str, method: str, vocab: Vocab
) -> None:
    objective, steps = OBJECTIVES[name](), list[DecodeStep]()
    text = clean(vocab, 2)
    holes = torch.zeros_like(text.visible)
    holes[:, -7:] = True
    request = request_of(text, holes, method=method, on_step=steps.append)
    objective.fill(make_net(vocab, encodes=objective.encodes), request, vocab)
    orders = [torch.cat([step.index[step.row == row] for step in steps]).tolist() for row in (0, 1)]
    assert all(len(order) >= 7 for order in orders)
    in_order = all(order == sorted(order) for order in orders)
    assert objective.decoding_methods[method].in_order == in_order
