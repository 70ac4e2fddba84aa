"""Scores of models of theirs are what transformers' own forward pass gives."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lmcompare.errors import Unsupported, UserError
from lmcompare.huggingface import HfNetwork
from lmcompare.objectives.network import LanguageModel
from lmcompare.view import Text, View
from tests.huggingface.loaded import Both
from tests.huggingface.models import FAMILIES, text_of

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
FAST = ("gpt2", "bert", "t5")  # one of each kind
CAUSAL = ("gpt2", "llama", "neox", "opt", "xlnet")
MASKED = ("bert", "roberta", "modernbert", "eurobert")


def marked(*names: str) -> list[Any]:
    return [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    made: dict[str, Both] = {}

    def load(name: str) -> Both:
        if name not in made:
            made[name] = Both.of(name, tmp_path_factory.mktemp("hf") / name)
        return made[name]

    return load


def row_of(text: Text, row: int) -> list[int]:
    """The tokens of a row, without the start token."""
    return text.tokens[row][text.visible[row]][1:].tolist()


def scores(found: Both, text: Text, scoring: str, mask: torch.Tensor | None = None) -> torch.Tensor:
    ours = found.ours
    assert ours.objective is not None
    mask = text.visible if mask is None else mask
    return ours.objective.score(ours.net, text, ours.tokenizer.vocab, mask, scoring=scoring)


@torch.no_grad()
def next_token_log_prob(found: Both, ids: list[int]) -> list[float]:
    """Of each token but the first, by the model itself, one row and no padding."""
    if found.ours.facts.model_type != "xlnet":
        log_prob = found.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(1)
        return [float(log_prob[index - 1, ids[index]]) for index in range(1, len(ids))]
    given = []
    for size in range(1, len(ids)):  # a last token that nobody sees, and that alone is predicted
        tokens = torch.tensor([[*ids[:size], 0]])
        hidden = torch.ones(1, size + 1, size + 1).triu()
        place = torch.zeros(1, 1, size + 1)
        place[0, 0, size] = 1
        logits = found.model(input_ids=tokens, perm_mask=hidden, target_mapping=place).logits
        given.append(float(logits[0, 0].log_softmax(0)[ids[size]]))
    return given


@pytest.mark.parametrize("name", marked(*CAUSAL))
def test_causal_scores(both: Callable[[str], Both], name: str) -> None:
    found = both(name)
    vocab = found.ours.tokenizer.vocab
    text = text_of(vocab, 9, 4, 1, 13)
    ours = scores(found, text, "causal")
    assert ours.std() > 0.5
    for row in range(len(text.tokens)):
        theirs = next_token_log_prob(found, [vocab.bos, *row_of(text, row)])
        size = len(theirs)
        torch.testing.assert_close(ours[row, 1 : size + 1], torch.tensor(theirs), **CLOSE)
        assert not ours[row, size + 1 :].any()


@pytest.mark.parametrize("name", marked(*MASKED))
@torch.no_grad()
def test_masked_scores(both: Callable[[str], Both], name: str) -> None:
    found = both(name)
    vocab = found.ours.tokenizer.vocab
    text = text_of(vocab, 9, 4, 13)
    ours = scores(found, text, "pll")
    for row in range(len(text.tokens)):
        words = found.tokenizer.decode(row_of(text, row))
        ids = found.tokenizer(words, return_tensors="pt").input_ids  # framed by their own rule
        assert ids[0].tolist() == [vocab.bos, *row_of(text, row), vocab.eos]
        for index in range(1, ids.shape[1] - 1):
            hidden = ids.clone()
            hidden[0, index] = found.tokenizer.mask_token_id
            log_prob = found.model(input_ids=hidden).logits[0, index].log_softmax(0)
            assert float(ours[row, index]) == pytest.approx(
                float(log_prob[ids[0, index]]), abs=1e-4
            )


@pytest.mark.parametrize("name", marked("t5", "bart"))
@torch.no_grad()
def test_scores_of_an_encoder_decoder(both: Callable[[str], Both], name: str) -> None:
    found = both(name)
    vocab = found.ours.tokenizer.vocab
    text = text_of(vocab, 12, 9)
    hidden = torch.zeros_like(text.visible)
    hidden[:, 3:5] = True
    hidden[:, 7] = True
    ours = scores(found, text, "given-length", hidden)
    regular = vocab.regular.tolist()
    for row in range(2):
        ids = row_of(text, row)
        parts = [ids[:2], ids[2:4], ids[4:6], ids[6:7], ids[7:]]
        words = [found.tokenizer.decode(part) for part in parts]
        holes = ["<extra_id_0>", "<extra_id_1>"] if name == "t5" else ["<mask>", "<mask>"]
        source = f"{words[0]}{holes[0]}{words[2]}{holes[1]}{words[4]}"
        given = found.tokenizer(source, return_tensors="pt").input_ids
        written = f"{holes[0]}{words[1]}{holes[1]}{words[3]}" if name == "t5" else "".join(words)
        target = found.tokenizer(written, return_tensors="pt").input_ids
        logits = found.model(input_ids=given, labels=target).logits[0]
        log_prob = logits[:, regular].log_softmax(1)  # a choice among words
        theirs = [
            float(log_prob[index, regular.index(number)])
            for index, number in enumerate(target[0].tolist())
            if number in regular
        ]
        if name == "bart":  # all of the text is written
            theirs = [theirs[index - 1] for index in (3, 4, 7)]
        torch.testing.assert_close(ours[row][hidden[row]], torch.tensor(theirs), **CLOSE)


@pytest.mark.parametrize("name", marked(*FAMILIES))
def test_no_score_depends_on_what_stands_beside_it(both: Callable[[str], Both], name: str) -> None:
    found = both(name)
    text = text_of(found.ours.tokenizer.vocab, 9, 4, 13)
    assert found.ours.objective is not None
    scoring = next(iter(found.ours.objective.scorings))
    mask = text.visible & (text.word % 3 == 1)
    together = scores(found, text, scoring, mask)
    found.ours.net.batch_size = 1
    alone = scores(found, text, scoring, mask)
    found.ours.net.batch_size = None
    torch.testing.assert_close(together, alone, **CLOSE)
    assert together[mask].abs().min() > 0


@pytest.mark.parametrize("name", marked(*FAMILIES))
@torch.no_grad()
def test_states_and_attention_by_layer(both: Callable[[str], Both], name: str) -> None:
    found = both(name)
    net, vocab = found.ours.net, found.ours.tokenizer.vocab
    assert isinstance(net, LanguageModel)
    text = text_of(vocab, 9, 4)
    assert found.ours.objective is not None
    view = found.ours.objective.read(text, vocab)
    states = dict(net.hidden_states(view))
    assert list(states) == [0, 1, 2]
    assert {each.shape for each in states.values()} == {(2, 9, net.width)}
    last = net.states(view)
    torch.testing.assert_close(states[2][view.visible], last, **CLOSE)
    (only,) = net.hidden_states(view, [1])
    torch.testing.assert_close(only[1], states[1])
    maps = dict(net.attention_maps(view))
    assert list(maps) == [1, 2]
    sees = view.sees()
    for weights in maps.values():
        assert not weights.masked_fill(sees[:, None], 0).any()
        torch.testing.assert_close(weights[0].sum(2), torch.ones(3, 9), **CLOSE)
    if view.source is not None:
        crossing = dict(net.attention_maps(view, source=True))
        torch.testing.assert_close(crossing[2].sum(3)[0], torch.ones(3, 9), **CLOSE)
    influence = net.gradient_influence(view, torch.tensor([5, 3]))
    assert influence.shape == (2, 9)
    moved = influence[0].nonzero()[:, 0].tolist()
    start = 1 if name == "t5" else 0  # whose source begins with the text itself
    assert set(range(start, 6)) <= set(moved)
    assert (max(moved) > 5) == bool(sees[0, 5, 8]), "what it sees, and nothing else"


def test_it_is_a_network(both: Callable[[str], Both]) -> None:
    found = both("gpt2").ours
    assert isinstance(found.net, HfNetwork)
    assert found.num_parameters == found.facts.num_parameters
    assert found.tokenizer.vocab.size == found.facts.config.vocab_size
    long = torch.zeros(1, 50, dtype=torch.long)
    causal = View.causal(long, visible=torch.ones_like(long).bool())
    with pytest.raises(UserError, match="at most 48 tokens, the start token included, and one has"):
        found.net.logits(causal, causal.visible)


def test_what_it_cannot_be_asked(both: Callable[[str], Both]) -> None:
    net = both("bert").ours.net
    view = View.causal(torch.tensor([[0, 9, 8]]), visible=torch.ones(1, 3).bool())
    with pytest.raises(Unsupported, match="reads both sides of a text at once, and what is asked"):
        net.logits(view, view.visible)


@pytest.mark.parametrize("name", marked("gpt2", "llama", "neox", "opt"))
def test_what_rows_share_is_read_once(
    both: Callable[[str], Both], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = both(name)
    net = found.ours.net
    assert net.takes_orders
    text = text_of(found.ours.tokenizer.vocab, 9, 11, 7, 12, 12, 5, 12)
    for row, above, shared in ((1, 0, 6), (2, 1, 7), (4, 3, 12), (6, 5, 4)):
        text.tokens[row, :shared] = text.tokens[above, :shared]
    mask = text.visible & (text.word > 2)
    mask[0, 7:] = False  # the row above is asked about less than is alike
    read: list[int] = []
    run = HfNetwork.run

    def counted(self: HfNetwork, view: View, framed: Any, **how: Any) -> Any:
        read.append(int(framed.mask.sum()))
        return run(self, view, framed, **how)

    monkeypatch.setattr(HfNetwork, "run", counted)
    together = scores(found, text, "causal", mask)
    assert sum(read) < 0.7 * int(text.visible.sum())
    for row in range(len(text.tokens)):
        only = text.rows(torch.tensor([row]))
        alone = scores(found, only, "causal", mask[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], **CLOSE)


@pytest.mark.parametrize("name", marked("bert", "t5"))
def test_a_copy_learns_alone(both: Callable[[str], Both], name: str) -> None:
    """As fine-tuning has it: gradients reach its weights, and its head is its own."""
    found = both(name).ours
    vocab = found.tokenizer.vocab
    assert found.objective is not None
    view = found.objective.read(text_of(vocab, 7), vocab)
    net = copy.deepcopy(found.net)
    net.states(view).square().sum().backward()
    moved = [each for each in net.parameters() if each.grad is not None and each.grad.any()]
    assert len(moved) > 10
    assert all(each.grad is None for each in found.net.parameters())
    states = torch.ones(2, net.width)
    before = found.net.predict(states)
    with torch.no_grad():
        for each in net.parameters():
            each.mul_(2)
    torch.testing.assert_close(found.net.predict(states), before)
    assert not torch.allclose(net.predict(states), before)
