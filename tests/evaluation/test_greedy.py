"""What a model writes greedily, and where it is of no use to write on."""

import pytest

from lmcompare.data import Tokenizer
from lmcompare.evaluation.greedy import fitting, writes
from lmcompare.evaluation.span_scoring import Span
from lmcompare.objectives import Clm, parse_objective
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import LoadedModel
from tests.tiny import WORDS
from tests.untrained import LENGTH, subject_of, write

NUM = 2  # tokens


def what_it_writes(model: LoadedModel) -> list[Span]:
    """Prompts, each with the text that the model writes after it where that has as many tokens."""
    samples = write(model, *WORDS, sampler=Sampler(greedy=True), max_new_tokens=NUM)
    spans = []
    for before, sample in zip(WORDS, samples, strict=True):
        (text,) = sample.written
        whole, alone = model.tokenizer.encode([before + text, before])
        if len(whole) == len(alone) + NUM and text == text.strip():
            spans.append(Span(before=before, text=text))
    assert spans, "other prompts are needed: after these it writes no whole characters"
    return spans


@pytest.mark.parametrize("name", ["clm", "mntp", "t5", "glm"])
def test_what_a_model_writes_is_said_to_be_written(name: str, tokenizer: Tokenizer) -> None:
    model = subject_of(parse_objective(name), tokenizer)
    right = what_it_writes(model)
    wrong = [
        Span(before=span.before, text=text)
        for span in right
        for text in (span.text[:-1] + "~", "~" + span.text[1:], " slept")
    ]
    assert writes(model, right) == [True] * len(right)
    assert writes(model, wrong) == [False] * len(wrong)
    mixed = [span for pair in zip(right, wrong, strict=False) for span in pair]
    assert writes(model, mixed) == [True, False] * len(right)


def test_writing_ends_where_nothing_can_become_right(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = subject_of(Clm(), tokenizer)
    num_passes, extend = [0], model.net.extend

    def counted(*given):
        num_passes[0] += 1
        return extend(*given)

    monkeypatch.setattr(model.net, "extend", counted)
    assert writes(model, [Span(before="the", text=" cat slept under a tree ~ ~ ~")]) == [False]
    assert num_passes[0] == 1, "the first token is wrong already"


def test_a_text_loses_its_beginning_where_it_does_not_fit(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    short = Span(before="the old dog", text=" slept")
    assert fitting(model, short) == short
    long = fitting(model, Span(before="a cat saw " * 20 + "the old dog", text=" slept"))
    assert long.text == " slept"
    assert long.before.endswith("the old dog")
    assert LENGTH - 4 < sum(map(len, tokenizer.encode([long.before, long.text]))) < LENGTH
