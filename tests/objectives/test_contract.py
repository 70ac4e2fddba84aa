"""What every objective must hold to, over the whole union."""

import json
import tomllib
from dataclasses import replace

import pytest
import tomli_w
import torch
from pydantic import TypeAdapter

from lmcompare import rng
from lmcompare.model import Backbone
from lmcompare.objectives import (
    OBJECTIVES,
    T5,
    AnyObjective,
    Bart,
    Fim,
    Hybrid,
    Mdlm,
    MixturePart,
    Mlm,
    Mntp,
    Objective,
    Plm,
    Prefix,
    Ul2,
)
from lmcompare.view import IGNORE, Text, View
from lmcompare.vocab import Candidates, Vocab
from tests.conftest import make_net, make_text, plain_text
from tests.objectives.cases import Spy

VARIANTS: list[Objective] = [
    *(kind() for kind in OBJECTIVES.values()),
    Mlm(rate=0.4, select="word"),
    Mlm(rate=0.3, select="span"),
    Mlm(rate=0.3, final_rate=0.1, masked=0.5, random=0.5),
    Mntp(rate=0.4, select="span"),
    Mntp(rate=1, masked=0, random=0, direction="left"),
    Plm(rate=1),
    T5(architecture="decoder", rate=0.5, mean_span=2, roll=True),
    Bart(architecture="decoder"),
    Bart(noise="mask"),
    Bart(noise="delete", rate=0.2),
    Bart(shuffle_sentences=True, rotate=True),
    Ul2(architecture="decoder", r=0),
    Fim(rate=1, spm=1),
    Hybrid(parts=(MixturePart(objective=Plm()), MixturePart(objective=Prefix(), share=3))),
    Hybrid(parts=(MixturePart(objective=T5()), MixturePart(objective=Bart())), judge=1),
    Hybrid(
        parts=(MixturePart(objective=Mdlm()), MixturePart(objective=Mlm())), schedule="alternating"
    ),
    Hybrid(parts=(MixturePart(objective=Mlm()), MixturePart(objective=Fim())), schedule="in-turn"),
]


@pytest.fixture(params=VARIANTS, ids=lambda objective: objective.model_dump_json())
def objective(request: pytest.FixtureRequest) -> Objective:
    return request.param


@pytest.fixture
def net(objective: Objective, vocab: Vocab) -> Backbone:
    """With an encoder, where the objective has a source."""
    return make_net(vocab, encodes=objective.encodes)


def fed(view: View) -> list[torch.Tensor]:
    """All tokens that the network is given."""
    return [view.tokens] if view.source is None else [view.tokens, view.source.tokens]


def corrupt(objective: Objective, text: Text, vocab: Vocab, seed: int = 0) -> View:
    return objective.corrupt(text, vocab, rng.generator("corruption", seed))


def text_scorings(objective: Objective) -> list[str]:
    return [name for name, how in objective.scorings.items() if "text" in how.answers]


def logits(net: Backbone, view: View) -> torch.Tensor:
    with torch.no_grad():
        return net.states(view) @ net.embedding.T


def test_same_generator_same_view(objective: Objective, text: Text, vocab: Vocab) -> None:
    one, two = corrupt(objective, text, vocab), corrupt(objective, text, vocab)
    for name in ("tokens", "position", "order", "visible", "target", "weight"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def test_text_is_not_changed(objective: Objective, text: Text, vocab: Vocab) -> None:
    before = text.tokens.clone()
    corrupt(objective, text, vocab)
    assert torch.equal(text.tokens, before)


def test_specials_of_the_text_are_neither_targets_nor_replaced(
    objective: Objective, vocab: Vocab
) -> None:
    """Unknown tokens stand for all of them: no objective writes one of its own accord."""
    text, unknown = make_text(vocab, rows=97), vocab.require("unk")
    text.tokens[:, 5] = unknown
    text.tokens[::3, 6:9] = unknown
    view = corrupt(objective, text, vocab)
    targets = view.target[view.target != IGNORE]
    assert len(targets) > 0
    assert (targets != unknown).all()
    assert (targets != vocab.pad).all()
    # as often as in the text, at least, and in each row
    there = (text.tokens == unknown).sum(1)
    most = torch.stack([(tokens == unknown).sum(1) for tokens in fed(view)]).amax(0)
    assert (most >= there).all()


def test_weights_are_shares(objective: Objective, vocab: Vocab) -> None:
    """They add up to 1; those of an estimate do so in the mean."""
    text = make_text(vocab, rows=31)
    sums = []
    for seed in range(40):
        view = corrupt(objective, text, vocab, seed)
        assert (view.weight >= 0).all()
        assert (view.weight[view.target == IGNORE] == 0).all()
        sums.append(float(view.weight.sum()))
    spread = max(sums) - min(sums)
    assert sum(sums) / len(sums) == pytest.approx(1, abs=1e-5 if spread < 1e-4 else 0.05)


def test_every_row_sees_something(objective: Objective, text: Text, vocab: Vocab) -> None:
    view = corrupt(objective, text, vocab)
    assert view.sees().any(dim=2).all()
    if view.source is not None:
        assert view.source.sees().any(dim=2).all()


def test_no_objective_sees_its_answer(
    objective: Objective, text: Text, vocab: Vocab, net: Backbone
) -> None:
    """Change a token of the text, corrupt alike: where it is the answer, no logit may move.

    The exception is what an objective shows on purpose: BERT's tenth that is kept, and what is left
    of a source whose whole text is written.
    """
    view = corrupt(objective, text, vocab)
    before = logits(net, view)
    checked = shown = 0
    changeable = ~vocab.is_special(text.tokens) & ~vocab.ends_sentence(text.tokens)
    for row, place in changeable.nonzero().tolist()[::2]:
        tokens = text.tokens.clone()
        rank = int((vocab.regular == tokens[row, place]).nonzero())
        tokens[row, place] = vocab.regular[rank - 1 if rank > 2 else -1]  # no end of a sentence
        other = corrupt(objective, replace(text, tokens=tokens), vocab)
        asked = other.target != view.target
        seen = (view.sees() & (other.tokens != view.tokens)[:, None]).any(2)
        if view.source is not None and other.source is not None:
            seen |= (other.source.tokens != view.source.tokens).any(1, keepdim=True)
        shown += int((asked & seen).sum())
        asked &= ~seen
        checked += int(asked.sum())
        if asked.any():
            torch.testing.assert_close(logits(net, other)[asked], before[asked])
    assert checked > 0
    assert shown <= (0.95 if copies(objective) else 0.3) * (checked + shown)


def copies(objective: Objective) -> bool:
    """Whether it writes what its source shows."""
    parts = objective.parts if isinstance(objective, Hybrid) else [MixturePart(objective=objective)]
    return any(isinstance(part.objective, Bart) for part in parts)


def test_rows_without_targets_give_a_finite_loss(
    objective: Objective, vocab: Vocab, net: Backbone
) -> None:
    tokens = torch.full((2, 7), vocab.eos)
    tokens[:, 0] = vocab.bos
    word = torch.arange(7).expand(2, 7)
    view = corrupt(objective, plain_text(tokens, word=word), vocab)
    loss = net(view)
    loss.backward()
    assert torch.isfinite(loss)
    assert (loss == 0) == (view.num_targets == 0)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_a_uniform_network_scores_one_in_v(objective: Objective, text: Text, vocab: Vocab) -> None:
    class Uniform(Spy):
        def log_prob(self, view: View, *, among: Candidates | None = None) -> torch.Tensor:
            """Of words alone where no more is possible."""
            self.num = vocab.size if among is None else len(among.words)
            return torch.where(view.target == IGNORE, 0.0, -torch.tensor(self.num).log())

    everything = torch.ones_like(text.tokens, dtype=torch.bool)
    special, uniform = vocab.is_special(text.tokens), Uniform()
    for scoring in text_scorings(objective):
        scores = objective.score(uniform, text, vocab, everything, scoring=scoring)
        chance = -torch.tensor(uniform.num).log()
        assert (scores[special] == 0).all()
        torch.testing.assert_close(scores.sum(1), chance * (~special).sum(1))
        if not objective.scorings[scoring].sampled:
            torch.testing.assert_close(scores, torch.where(special, 0.0, chance))


def holes(objective: Objective) -> list[str]:
    return [name for name, how in objective.scorings.items() if "holes" in how.answers]


@pytest.mark.parametrize("question", ["text", "holes"])
def test_scores_do_not_depend_on_the_batch(
    objective: Objective, text: Text, vocab: Vocab, net: Backbone, question: str
) -> None:
    asked = torch.ones_like(text.tokens, dtype=torch.bool)
    scorings = text_scorings(objective)
    if question == "holes":
        scorings = holes(objective)
        asked[:, :7] = asked[:, 8:] = False
    stop = text.tokens.shape[1] - 3  # row 1 without its padding
    for scoring in scorings:
        together = objective.score(net, text, vocab, asked, scoring=scoring)
        alone = objective.score(
            net,
            plain_text(text.tokens[1:2, :stop], word=text.word[1:2, :stop]),
            vocab,
            asked[1:2, :stop],
            scoring=scoring,
        )
        torch.testing.assert_close(together[1:2, :stop], alone, rtol=1e-4, atol=1e-5)
        assert (together[1, stop:] == 0).all()
        assert (together[~asked] == 0).all()
        assert together[1, 7] != 0


def test_only_what_is_asked_is_scored(
    objective: Objective, text: Text, vocab: Vocab, net: Backbone
) -> None:
    """Its identity matters there, and that of what is asked too and stands later does not."""
    asked = torch.zeros_like(text.tokens, dtype=torch.bool)
    asked[2, 4:9] = True
    first = objective.choose_scoring(None, "continuation") if can_go_on(objective) else None
    scores = objective.score(net, text, vocab, asked, scoring=first)
    assert torch.equal(scores != 0, asked)
    other = text.tokens.clone()
    other[2, 8] = vocab.regular[3] + (other[2, 8] == vocab.regular[3])
    changed = objective.score(net, replace(text, tokens=other), vocab, asked, scoring=first)
    if can_go_on(objective) and not objective.scorings[first].sampled:
        torch.testing.assert_close(changed[:, :8], scores[:, :8])
    assert changed[2, 8] != scores[2, 8]


def can_go_on(objective: Objective) -> bool:
    return any("continuation" in how.answers for how in objective.scorings.values())


def test_accumulation_gives_the_same_gradient(
    objective: Objective, vocab: Vocab, net: Backbone
) -> None:
    view = corrupt(objective, make_text(vocab, rows=8), vocab)
    net(replace(view, part=None)).backward()
    whole = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    parts = list(view.split(2))
    assert len(parts) >= 4
    for part in parts:
        net(part).backward()
    for parameter, expected in zip(net.parameters(), whole, strict=True):
        scale = float(expected.abs().max())
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-5 * scale)


def test_documents_are_kept_apart(objective: Objective, vocab: Vocab, net: Backbone) -> None:
    """With documents, what one says is no business of the other's."""
    text = make_text(vocab, rows=2)
    document = torch.zeros_like(text.tokens)
    document[:, 11:] = 1
    text = plain_text(text.tokens, word=text.word, document=document)
    view = objective.read(text, vocab)
    changed = text.tokens.clone()
    changed[:, 1:11] = vocab.regular[7]
    other = objective.read(plain_text(changed, word=text.word, document=document), vocab)
    torch.testing.assert_close(logits(net, view)[0, 11:], logits(net, other)[0, 11:])


def test_round_trip(objective: Objective) -> None:
    adapter: TypeAdapter[Objective] = TypeAdapter(AnyObjective)
    as_json = objective.model_dump(mode="json", exclude_none=True)
    assert adapter.validate_python(json.loads(json.dumps(as_json))) == objective
    assert adapter.validate_python(tomllib.loads(tomli_w.dumps(as_json))) == objective
    assert adapter.validate_json(objective.model_dump_json()) == objective
    assert adapter.validate_python(objective.name).name == objective.name
