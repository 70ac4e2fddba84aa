"""How probable parts of texts are, for every objective, against its scores one by one."""

import numpy as np
import pytest
import torch

from lmcompare.data import Tokenizer
from lmcompare.evaluation.span_scoring import Span, choose_scoring, score_spans
from lmcompare.objectives import (
    OBJECTIVES,
    Bart,
    Clm,
    Fim,
    Hybrid,
    Mdlm,
    Mlm,
    Objective,
    Plm,
    Prefix,
    parse_objective,
)
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import Text
from tests.untrained import subject_of

SENTENCES = ["the old cat saw a dog.", "a dog ran", "the tree slept under the old dog to a cat."]
ALL = [parse_objective(name) for name in OBJECTIVES]


def by_hand(model: LoadedModel, text: str, asked: slice, scoring: str) -> float:
    """The nats of some tokens, alone in a row."""
    (encoded,) = model.tokenizer.encode([text])
    ids = torch.tensor([model.tokenizer.vocab.bos, *encoded.ids.tolist()])[None]
    starts = np.r_[1, encoded.starts_word[1:]].cumsum()
    row = Text(
        tokens=ids,
        visible=torch.ones_like(ids, dtype=torch.bool),
        word=torch.tensor([0, *starts.tolist()])[None],
    )
    mask = torch.zeros_like(row.visible)
    mask[:, 1:][:, asked] = True
    return -float(model.log_prob(row, mask, scoring)[0].sum())


@pytest.mark.parametrize("objective", ALL, ids=lambda given: given.name)
def test_whole_sentences_are_the_sum_of_their_tokens(
    objective: Objective, tokenizer: Tokenizer
) -> None:
    """Whatever is asked together, in rows of unlike lengths."""
    model = subject_of(objective, tokenizer)
    parts = [Span(text=each) for each in SENTENCES]
    scoring = choose_scoring(model, parts)
    assert not objective.scorings[scoring].weighs_all
    for text, verdict in zip(SENTENCES, score_spans(model, parts, scoring), strict=True):
        expected = by_hand(model, text, slice(None), scoring)
        if not objective.scorings[scoring].sampled:
            assert verdict.nats == pytest.approx(expected, rel=1e-5)
        assert verdict.num_bytes == len(text.encode())
        assert verdict.num_tokens == len(tokenizer.encode([text])[0])


@pytest.mark.parametrize("objective", ALL, ids=lambda given: given.name)
def test_what_is_sampled_comes_last(objective: Objective, tokenizer: Tokenizer) -> None:
    scoring = choose_scoring(subject_of(objective, tokenizer), [Span(text="the old cat")])
    exact = [name for name, how in objective.scorings.items() if "text" in how.answers]
    assert not objective.scorings[scoring].sampled or all(
        objective.scorings[name].sampled for name in exact
    )


def test_an_end_and_a_middle_are_asked_in_the_way_that_can(tokenizer: Tokenizer) -> None:
    ends, middles = (
        [Span(before="the old", text=" cat")],
        [Span(before="a", text=" b", behind=" c")],
    )
    found = {
        each.name: tuple(
            choose_scoring(subject_of(each, tokenizer), one) for one in (ends, middles)
        )
        for each in (Clm(), Mlm(), Prefix(), Fim(), Bart())
    }
    assert found == {
        "clm": ("causal", "causal"),
        "mlm": ("left-to-right", "left-to-right"),
        "prefix": ("prefix", "prefix"),
        "fim": ("causal", "given-length"),
        "bart": ("given-length", "given-length"),
    }


def test_what_stands_behind_counts_where_the_left_side_alone_is_seen(tokenizer: Tokenizer) -> None:
    """So that candidates for one place compare as the probabilities of the whole texts do."""
    clm, mlm = subject_of(Clm(), tokenizer), subject_of(Mlm(), tokenizer)
    part = Span(before="the old", text=" cat", behind=" saw a dog.")
    whole = "the old cat saw a dog."
    before, middle = (len(tokenizer.encode([each])[0]) for each in ("the old", "the old cat"))
    (causal,), (joint,) = score_spans(clm, [part], "causal"), score_spans(mlm, [part], "joint")
    assert causal.nats == pytest.approx(by_hand(clm, whole, slice(before, None), "causal"))
    assert joint.nats == pytest.approx(by_hand(mlm, whole, slice(before, middle), "joint"))
    assert joint.num_bytes == len(" cat")
    assert causal.num_bytes == len(" cat saw a dog.")


@pytest.mark.parametrize("objective", [Clm(), Mlm()], ids=lambda given: given.name)
def test_texts_longer_than_the_rows_are_read_in_windows(
    objective: Objective, tokenizer: Tokenizer
) -> None:
    """Every token once, with half a row before it at least, but at the beginning."""
    model = subject_of(objective, tokenizer)
    text = " ".join(SENTENCES * 4)
    (encoded,) = tokenizer.encode([text])
    assert len(encoded) > 2 * model.length
    part = Span(text=text)
    (verdict,) = score_spans(model, [part], choose_scoring(model, [part]))
    assert (verdict.num_tokens, verdict.num_bytes) == (len(encoded), len(text.encode()))
    before = " ".join(SENTENCES * 3)
    (end,) = score_spans(
        model, [Span(before=before, text=text[len(before) :])], next(iter(objective.scorings))
    )
    assert 0 < end.nats < verdict.nats


def test_a_token_on_the_border_is_no_part(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    (whole,) = tokenizer.encode(["under the cat"])
    assert whole.bytes.tolist() == [5, 2, 1, 1, 3, 1], "under, t, h, e, ca, t with their spaces"
    (verdict,) = score_spans(model, [Span(before="under the c", text="at")], "causal")
    assert (verdict.num_tokens, verdict.num_bytes) == (1, 1)
    masked = subject_of(Mlm(), tokenizer)
    (verdict,) = score_spans(masked, [Span(before="under", text=" the c", behind="at")], "joint")
    assert verdict.num_bytes == len(" the")


def test_batches_change_no_verdict(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Span(text=" ".join(SENTENCES[:num])) for num in (1, 3, 2, 1, 2)]
    for objective in (Clm(), Plm(), Hybrid()):
        model = subject_of(objective, tokenizer)
        scoring = choose_scoring(model, parts)
        together = score_spans(model, parts, scoring)
        with monkeypatch.context() as patched:
            patched.setattr("lmcompare.evaluation.span_scoring.TOKENS_AT_ONCE", 1)
            shares: list[float] = []
            alone = score_spans(model, parts, scoring, report=shares.append)
        assert [each.nats for each in alone] == pytest.approx([each.nats for each in together])
        assert shares == sorted(shares)
        assert shares[-1] == 1


def test_a_bound_is_asked_along_an_order(tokenizer: Tokenizer) -> None:
    """It is exact there, and the same every time."""
    model = subject_of(Mdlm(), tokenizer)
    parts = [Span(text=each) for each in SENTENCES]
    scoring = choose_scoring(model, parts)
    assert score_spans(model, parts, scoring) == score_spans(model, parts, scoring)
