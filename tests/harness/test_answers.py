"""What the harness asks, answered by each objective as it can, without the harness."""

from dataclasses import replace

import pytest

from lmcompare.data import Tokenizer
from lmcompare.data.tokenizer_training import TokenizerConfig
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.span_scoring import Span, score_spans
from lmcompare.harness import answers
from lmcompare.objectives import OBJECTIVES, Clm, Mlm, parse_objective
from lmcompare.objectives.decoding.sampler import Sampler
from tests.tiny import sentences
from tests.untrained import LENGTH, subject_of

LONG = "the old dog saw a cat " * 7


@pytest.mark.parametrize(
    ("context", "continuation", "span"),
    [
        ("the cat", " ran", Span(before="the cat", text=" ran")),
        ("the cat \n", "ran", Span(before="the cat", text=" \nran")),
        ("", "the cat", Span(text="the cat")),
        ("\n", "the cat", Span(text="\nthe cat")),
    ],
)
def test_white_space_belongs_to_what_follows(context: str, continuation: str, span: Span) -> None:
    assert answers.span_of(context, continuation) == span


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_what_it_says_of_spans(name: str, tokenizer: Tokenizer) -> None:
    model = subject_of(parse_objective(name), tokenizer)
    for spans in (
        [Span(text="a cat"), Span(text="the old")],
        [Span(before="the old dog", text=" saw"), Span(before="the cat ran", text=" to")],
    ):
        scoring = answers.scoring_for(model, spans, None)
        found = answers.log_likelihoods(model, spans, scoring, greedy=False)
        expected = [-each.nats for each in score_spans(model, spans, scoring)]
        assert [value for value, _ in found] == pytest.approx(expected, rel=1e-6)
        assert all(value < 0 for value, _ in found)


def test_a_text_beyond_the_rows_is_asked_about_all_the_same(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    spans = [Span(before=LONG, text=" slept"), Span(before="the", text=" " + LONG.strip())]
    assert len(tokenizer.encode([LONG])[0]) > LENGTH
    (short, written), (long, too_long) = answers.log_likelihoods(
        model, spans, "causal", greedy=True
    )
    assert long < short < 0
    assert (written, too_long) == (False, False)


def test_a_scoring_must_answer_what_is_asked(tokenizer: Tokenizer) -> None:
    model = subject_of(Mlm(), tokenizer)
    spans = [Span(before="the", text=" cat")]
    assert answers.scoring_for(model, spans, "joint") == "joint"
    with pytest.raises(Unsupported, match="mlm by 'pll' gives no likelihood of a continuation"):
        answers.scoring_for(model, spans, "pll")


def test_what_has_no_token_of_its_own_has_no_probability(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    with pytest.raises(UserError, match="leaves '' no token of its own after 'the cat'"):
        answers.log_likelihoods(model, [Span(before="the cat", text="")], "causal", greedy=False)


EXACT = {
    **{"clm": "causal", "hybrid": "causal", "fim": "causal", "prefix": "prefix"},
    **{"plm": "left-to-right", "mdlm": "left-to-right"},
    **dict.fromkeys(("t5", "bart", "glm", "ul2"), "given-length"),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_a_probability_of_a_whole_text_is_rolled(name: str, tokenizer: Tokenizer) -> None:
    model = subject_of(parse_objective(name), tokenizer)
    if name not in EXACT:
        with pytest.raises(Unsupported, match=f"{name} has no probability of a whole text.*pseudo"):
            answers.rolling(model, ["the cat"])
        return
    assert answers.exact_scoring(model.objective) == EXACT[name]
    nothing, short = answers.rolling(model, ["", "the cat saw a dog"])
    (expected,) = score_spans(model, [Span(text="the cat saw a dog")], EXACT[name])
    assert nothing == 0
    assert short == pytest.approx(-expected.nats, rel=1e-6)


def test_a_long_text_is_rolled_each_token_once(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    (found,) = answers.rolling(model, [LONG])
    (expected,) = score_spans(model, [Span(text=LONG)], "causal")
    assert expected.num_bytes == len(LONG)
    assert found == pytest.approx(-expected.nats, rel=1e-6)


def test_a_text_that_the_tokenizer_does_not_know_has_no_likelihood() -> None:
    words = Tokenizer.train([sentences(101)], TokenizerConfig(kind="word", vocab_size=153))
    with pytest.raises(Unsupported, match="the tokenizer does not know all of the text 'zebra'"):
        answers.rolling(subject_of(Clm(), words), ["the cat", "zebra"])


def request(model, **settings):
    return answers.request_of(model, settings, warn=pytest.fail)


def test_how_a_task_wants_to_have_texts_continued(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    asked = request(model, until=["\n", ""], max_gen_toks=7, temperature=0.5)
    assert (asked.stop, asked.max_new_tokens) == (("\n",), 7)
    assert asked.sampler == Sampler(greedy=True), "nothing is drawn unless do_sample says so"
    assert not asked.with_holes
    drawn = request(model, until="\n", max_tokens=7, do_sample=True, temperature=0.5, top_k=3)
    assert drawn.sampler == Sampler(temperature=0.5, top_k=3)
    assert request(model, max_tokens=7, do_sample=True, temperature=0).sampler.greedy
    assert request(model, max_tokens=7, num_beams=3).sampler == Sampler(beams=3)
    assert request(model, max_tokens=7, num_beams=1).sampler == Sampler(greedy=True)
    special = tokenizer.pieces([tokenizer.vocab.eos])
    assert request(model, until=special, max_tokens=7).stop == (), "it is never written"
    with pytest.raises(UserError, match="the task sets guidance of writing, and nothing here"):
        request(model, max_tokens=7, guidance=3)
    with pytest.raises(UserError, match="settings of writing make no sense: a temperature of -1"):
        request(model, max_tokens=7, do_sample=True, temperature=-1)


def test_what_does_not_fit_is_said(tokenizer: Tokenizer) -> None:
    told: list[str] = []
    asked = answers.request_of(subject_of(Clm(), tokenizer), {}, warn=told.append)
    assert asked.max_new_tokens == LENGTH // 2
    assert told == [
        "256 new tokens leave no room for a text in rows of 33, which the model was trained on: "
        "it writes 16 at most"
    ]


def test_a_line_in_a_prompt_is_no_hole(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    asked = replace(request(model, max_gen_toks=5), prompts=("the ___ ran", "", "a cat"))
    found = answers.continuations(model, asked, warn=pytest.fail)
    assert len(found) == 3
    (alone,) = answers.continuations(
        model, replace(asked, prompts=("the ___ ran",)), warn=pytest.fail
    )
    assert found[0] == alone
