"""One token of each row is asked for as its objective scores it, and what moves it is known."""

import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.errors import Unsupported
from lmcompare.evaluation.context.asking import answer, influence, view_of
from lmcompare.evaluation.context.questions import TokenInContext, as_text
from lmcompare.objectives import OBJECTIVES, Mlm, Objective
from lmcompare.runs import common_question
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text
from tests.untrained import subject_of

LEFT_ONLY = {"clm", "prefix", "hybrid"}  # what a hybrid's first part, a causal model, sees


@pytest.fixture(params=OBJECTIVES)
def model(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> LoadedModel:
    return subject_of(OBJECTIVES[request.param](), tokenizer)


def rows(tokenizer: Tokenizer, *asked: int) -> tuple[Text, torch.Tensor]:
    """Rows of eleven words, in each of which the token of an index is asked for."""
    words = tokenizer.encode(["the cat saw the old dog under a tree ran to"] * len(asked))
    ids = [each.ids.tolist() for each in words]
    made = [
        TokenInContext(left=tuple(own[:at][::-1]), token=own[at], right=tuple(own[at + 1 :]))
        for own, at in zip(ids, asked, strict=True)
    ]
    return as_text(made, tokenizer.vocab)


def scoring_of(objective: Objective) -> str:
    scoring = common_question.scoring_of(objective)
    assert scoring is not None
    return scoring


def test_the_answer_is_the_score_of_the_objective(model: LoadedModel, tokenizer: Tokenizer) -> None:
    text, hidden = rows(tokenizer, 0, 3, 7, 10)
    scoring = scoring_of(model.objective)
    asked = view_of(model.objective, text, tokenizer.vocab, hidden, scoring)
    log_prob, states = answer(model.net, asked)
    expected = model.objective.score(model.net, text, tokenizer.vocab, hidden, scoring=scoring)
    torch.testing.assert_close(log_prob, expected[hidden], rtol=1e-4, atol=1e-5)
    assert len(states) == 4


def test_influence_is_what_changes_the_answer(model: LoadedModel, tokenizer: Tokenizer) -> None:
    """A token has influence exactly where another one in its place changes the log-probability."""
    text, hidden = rows(tokenizer, 4, 5)
    vocab, scoring = tokenizer.vocab, scoring_of(model.objective)
    found = influence(model.net, model.objective, text, vocab, hidden, scoring)
    assert found[hidden].sum() == 0
    assert (found[:, 0] == 0).all(), "the start token is not of the text"
    before, _ = answer(model.net, view_of(model.objective, text, vocab, hidden, scoring))
    for index in range(1, text.tokens.shape[1]):
        tokens = text.tokens.clone()
        other = vocab.regular[vocab.regular != tokens[0, index]][7]
        tokens[:, index] = other
        changed = Text(tokens=tokens, visible=text.visible, word=text.word)
        after, _ = answer(model.net, view_of(model.objective, changed, vocab, hidden, scoring))
        for row in (0, 1):
            if not hidden[row, index]:
                moves = abs(float(after[row] - before[row])) > 1e-5
                assert (float(found[row, index]) > 0) == moves, (row, index)


def test_nothing_on_the_right_moves_what_reads_from_the_left(
    model: LoadedModel, tokenizer: Tokenizer
) -> None:
    text, hidden = rows(tokenizer, 4, 6)
    found = influence(
        model.net, model.objective, text, tokenizer.vocab, hidden, scoring_of(model.objective)
    )
    after = torch.arange(text.tokens.shape[1]) > hidden.int().argmax(1, keepdim=True)
    before = ~after & ~hidden
    before[:, 0] = False
    assert (found[before] > 0).all()
    if model.objective.name in LEFT_ONLY:
        assert (found[after] == 0).all()
    else:
        assert (found[after] > 0).all()


@pytest.mark.parametrize("name", ["clm", "fim", "prefix", "mlm", "mdlm", "t5"])
def test_a_clean_text_moves_a_state_from_where_it_is_seen(name: str, tokenizer: Tokenizer) -> None:
    model = subject_of(OBJECTIVES[name](), tokenizer)
    text, hidden = rows(tokenizer, 4, 6)
    view = model.objective.read(text, tokenizer.vocab)
    position = hidden.int().argmax(1)
    found = model.net.gradient_influence(view, position)
    sees = view.sees()[torch.arange(2), position]
    assert ((found > 0) == sees).all()
    assert bool(sees[0, -1]) == (name not in {"clm", "fim"})


def test_a_vocabulary_of_fewer_words_than_places_is_enough(tokenizer: Tokenizer) -> None:
    """Which token of a text stands where is then told by several digits."""
    model = subject_of(OBJECTIVES["fim"](), tokenizer)
    text, hidden = rows(tokenizer, 4, 6)
    vocab = tokenizer.vocab
    some = {int(each) for each in text.tokens[0, 1:4]}
    few = type(vocab)(
        size=vocab.size,
        roles=vocab.roles,
        specials=frozenset(range(vocab.size)) - some,
        sentinels=vocab.sentinels,
    )
    assert len(few.regular) == 3
    tokens = torch.tensor(sorted(some))[torch.arange(text.tokens.shape[1]) % 3].repeat(2, 1)
    tokens[:, 0] = vocab.bos
    made = Text(tokens=tokens, visible=text.visible, word=text.word)
    found = influence(model.net, model.objective, made, few, hidden, "given-length")
    expected = influence(model.net, model.objective, made, vocab, hidden, "given-length")
    torch.testing.assert_close(found, expected)


def test_what_takes_several_passes_is_refused(tokenizer: Tokenizer) -> None:
    text, hidden = rows(tokenizer, 4, 6)
    with pytest.raises(Unsupported, match="several"):
        view_of(Mlm(), text, tokenizer.vocab, hidden | hidden.roll(1, 1), "left-to-right")
    with pytest.raises(Unsupported, match="chosen among several"):
        view_of(Mlm(), text, tokenizer.vocab, hidden, "surest-first")
