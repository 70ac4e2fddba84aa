"""Answers in texts: where they stand in tokens, what is learned, and how they are compared."""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.evaluation.readers.squad import SquadQuestion, exact, f1
from lmcompare.evaluation.supervised import finetuning
from lmcompare.evaluation.supervised.spec import LabelledRow
from lmcompare.evaluation.tasks import extractive_qa
from lmcompare.evaluation.tasks.extractive_qa import SpanAnswers, best_span, loss
from lmcompare.evaluation.tasks.measure import ratio
from lmcompare.evaluation.tasks.registry import known
from lmcompare.objectives import T5, Clm, Mlm, Objective
from tests.tiny import WORDS, sentences
from tests.untrained import subject_of

ACCENTS = "Zoë ate  crème brûlée\nin “Łódź” — 🐈 naïve café; the dog's élan."


def task_of(**changes: object) -> SpanAnswers:
    settings = {"name": "answers", "group": "extraction", "train": ["a.json"], "test_every": 3}
    return SpanAnswers.model_validate({**settings, **changes})


def asked_of(context: str, answer: str, *, question: str = "who", number: int = 0) -> SquadQuestion:
    start = context.index(answer)
    return SquadQuestion(
        number=number, question=question, context=context, answers=((answer, start),)
    )


def write(path: Path, paragraphs: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """Texts, and for each some questions with their answers."""
    records = [
        {
            "context": context,
            "qas": [
                {
                    "question": question,
                    "answers": [{"text": answer, "answer_start": context.index(answer)}],
                }
                for question, answer in asked
            ],
        }
        for context, asked in paragraphs
    ]
    halves = [{"paragraphs": records[:2]}, {"paragraphs": records[2:]}]
    path.write_text(json.dumps({"data": halves}), encoding="utf-8")


@pytest.mark.parametrize(
    ("said", "answer", "expected_exact", "expected_f1"),
    [
        ("The Cat.", "cat", 1, 1),
        ("a  cat,\nan old one", "cat old one", 1, 1),
        ("the old cat", "cat", 0, 2 * (1 / 2) * 1 / (1 / 2 + 1)),
        ("cat cat dog", "cat dog dog tree", 0, 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)),
        ("dog", "cat", 0, 0),
        ("", "cat", 0, 0),
        ("theory", "ory", 0, 0),
        ("dog's", "dogs", 1, 1),
        ("3.5", "35", 1, 1),
        ("“cat”", "cat", 0, 0),  # only ASCII punctuation goes, as in the official script
    ],
)
def test_answers_are_compared_as_squad_does(
    said: str, answer: str, expected_exact: float, expected_f1: float
) -> None:
    assert exact(said, answer) == expected_exact
    assert f1(said, answer) == pytest.approx(expected_f1)
    assert f1(answer, said) == pytest.approx(expected_f1)


@pytest.mark.parametrize("kind", ["bpe", "unigram", "bytes", "characters"])
def test_tokens_are_found_for_every_answer(kind: str) -> None:
    """Each run of words, back from tokens: the same characters, but for what a token spans."""
    config = TokenizerConfig(kind=kind, vocab_size=390 if kind == "unigram" else 406)
    own = Tokenizer.train([sentences(101), ACCENTS * 3], config)
    model = subject_of(Clm(), own)
    encoded = own.encode([ACCENTS])[0]
    words = ACCENTS.split()
    for first in range(len(words)):
        for last in range(first, min(len(words), first + 3)):
            start = ACCENTS.index(words[first])
            stop = ACCENTS.index(words[last]) + len(words[last])
            asked = asked_of(ACCENTS, ACCENTS[start:stop])
            question = own.encode(["who"])[0]
            rows = extractive_qa._windows(model, question, encoded, asked)
            holding = [row for row in rows if list(row.target) != [0, 0]]
            if len(own.encode([ACCENTS[start:stop]])[0]) < 8:
                assert holding
            for row in holding:
                outputs = torch.zeros(len(row.spans), 2)
                outputs[row.target[0], 0] = outputs[row.target[1], 1] = 9
                assert extractive_qa._said(ACCENTS, [row], [outputs]) == ACCENTS[start:stop]


def test_a_row_is_the_question_an_end_token_and_the_text(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    counts: Counter[str] = Counter()
    asked = asked_of("the old cat saw a café", "cat saw", question="who saw")
    ((row,),) = extractive_qa._rows(model, [asked], "", counts)
    question, text = tokenizer.encode(["who saw", asked.context])
    assert row.document.ids.tolist() == [*question.ids, tokenizer.vocab.eos, *text.ids]
    end = 1 + len(question)  # behind the start token
    assert [*row.spans] == [range(each, each + 1) for each in range(end, end + 1 + len(text))]
    assert row.document.ids[row.spans[0][0] - 1] == tokenizer.vocab.eos
    first, last = row.target
    ids = row.document.ids[row.spans[first][0] - 1 : row.spans[last][0]]
    assert tokenizer.decode(ids).strip() == "cat saw"
    assert not counts


def test_long_texts_are_read_in_windows(tokenizer: Tokenizer) -> None:
    model = subject_of(Clm(), tokenizer)
    counts: Counter[str] = Counter()
    context = " ".join(WORDS[number % 11] for number in range(61)) + " café"
    early = asked_of(context, "the a cat")
    late = asked_of(context, "café", question="why " * 29)
    one, two = extractive_qa._rows(model, [early, late], "", counts)
    assert counts == {"texts read in windows": 2, "questions cut at their end": 1}
    size = len(tokenizer.encode([context])[0])
    for rows in (one, two):
        assert all(len(row.document) <= 32 for row in rows)
        seen = [bound for row in rows for bound in row.bounds]
        assert set(seen) == set(rows[0].bounds) | set(seen)
        assert len(set(seen)) == size, "all of the text"
        assert len(seen) > 1.5 * size, "twice, but for the ends"
    assert one[0].target[0] == 1
    assert [list(row.target) for row in one[1:]] == [[0, 0]] * (len(one) - 1)
    assert list(two[-1].target) != [0, 0]
    assert [list(row.target) for row in two[:-1]] == [[0, 0]] * (len(two) - 1)


def test_of_several_windows_the_surest_answers() -> None:
    asked = asked_of("ab cd", "cd")
    bounds = ([(0, 2)], [(2, 5)])
    rows = [
        extractive_qa._Read(document=None, spans=[range(1)] * 2, bounds=some, target=[0, 0])
        for some in bounds
    ]
    high, low = torch.tensor([[9.0, 9], [1, 1]]), torch.tensor([[1.0, 1], [0, 0]])
    for outputs, expected in (([high, low], "cd"), ([low, high], "ab")):
        assert extractive_qa._said(asked.context, rows, outputs) == expected
    # the logits of the second are higher, but it is surer that there is nothing
    outputs = [torch.tensor([[0.0, 0], [2, 2]]), torch.tensor([[9.0, 9], [5, 5]])]
    assert extractive_qa._said(asked.context, rows, outputs) == "ab"
    (item,) = extractive_qa._items([asked], [rows], [low, high][::-1])
    assert (item.score, item.figures["exact match"]) == (1, 1)


def test_the_best_span_is_in_order_and_short() -> None:
    output = torch.full((67, 2), -9.0)
    output[1 + 41, 0] = 5.0
    output[1 + 13, 1] = 5.0  # before it
    output[1 + 43, 1] = 2.0
    assert best_span(output)[1:] == (41, 43)
    output[1 + 43, 1] = -9.0
    output[1 + 11, 0] = 4.0
    output[1 + 13, 1] = 2.0
    assert best_span(output)[1:] == (11, 13)
    far = torch.full((67, 2), -9.0)
    far[1 + 5, 0] = far[1 + 36, 1] = 5.0
    assert best_span(far)[2] - best_span(far)[1] <= 30
    assert best_span(far)[1:] != (5, 36)
    far[1 + 35, 1] = 4.0
    score, first, last = best_span(far)
    assert (first, last) == (5, 35)
    log = far.double().log_softmax(0)
    assert score == pytest.approx(float(log[6, 0] + log[36, 1]))


def test_the_loss_is_among_the_spans_of_a_row() -> None:
    outputs = [torch.tensor([[0.0, 1], [2, 0], [1, 1]]), torch.tensor([[3.0, 0], [0, 0]])]
    rows = [
        LabelledRow(document=None, spans=[range(1)] * 3, target=[1, 2]),
        LabelledRow(document=None, spans=[range(1)] * 2, target=[0, 1]),
    ]
    by_hand = [
        -each.log_softmax(0)[place, side]
        for each, row in zip(outputs, rows, strict=True)
        for side, place in enumerate(row.target)
    ]
    assert float(loss(torch.cat(outputs), rows)) == pytest.approx(
        float(torch.stack(by_hand).mean())
    )


def test_the_best_of_several_answers_counts() -> None:
    asked = SquadQuestion(
        number=3, question="q", context="a cat saw", answers=(("saw", 6), ("cat saw", 2))
    )
    row = extractive_qa._Read(
        document=None, spans=[range(1)] * 4, bounds=[(0, 1), (1, 5), (5, 9)], target=[0, 0]
    )
    outputs = torch.zeros(4, 2)
    outputs[2, 0] = outputs[3, 1] = 9
    (item,) = extractive_qa._items([asked], [[row]], [outputs])
    assert (item.item, item.score, item.figures) == (3, 1.0, {"exact match": 1.0})


def paragraphs(num: int, *, seed: int = 3) -> list[tuple[str, list[tuple[str, str]]]]:
    """The answer is the one word with an accent."""
    draws = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(num):
        words = [WORDS[each] for each in torch.randint(11, (9,), generator=draws).tolist()]
        words[int(torch.randint(9, (1,), generator=draws))] = "café"
        text = " ".join(words)
        found.append((text, [("to what", "café"), ("under what", "café")]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("objective", [Mlm(), Clm(), T5()], ids=lambda given: given.name)
def test_answers_that_look_alike_are_learned(
    objective: Objective, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "FACTORS", (10 / 3,))
    monkeypatch.setattr(finetuning, "MOST_STEPS", 200)
    write(tmp_path / "a.json", paragraphs(101))
    task, model = task_of(), subject_of(objective, tokenizer)
    examples = task.read(tmp_path)
    answers = task.evaluate(
        model, examples, protocol="all", done=frozenset({1}), report=lambda share: None
    )
    items = list(answers.items)
    assert [item.item for item in items] == [0, *range(2, 66)]
    assert ratio(items) > 0.9
    assert task.figures(items)["exact match"] > 0.9
    assert answers.description == "fine-tuned on 124 questions, first and last token of the answer"
    assert {type(each) for each in answers.settings.values()} == {float, str}, (
        "as a record has them"
    )
    few = task.evaluate(
        model, examples, protocol="100", done=frozenset(), report=lambda share: None
    )
    assert few.description.startswith("fine-tuned on 100 questions")


def test_paragraphs_stay_together(tmp_path: Path) -> None:
    write(tmp_path / "a.json", paragraphs(47))
    task = task_of()
    examples = task.read(tmp_path)
    parts = {"test": examples.test, **examples.learned}
    contexts = {name: {each.context for each in some} for name, some in parts.items()}
    assert {name: len(some) for name, some in contexts.items()} == {
        "test": 15,
        "train": 29,
        "validation": 3,
    }
    assert len(set.union(*contexts.values())) == 47
    assert [each.number for each in examples.test] == list(range(30))
    assert task.chance(examples) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "a.json is not JSON"),
        ("[]", "a.json is not laid out as SQuAD: data, paragraphs, context, qas"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "is not laid out as SQuAD"),
        ('{"data": [{"paragraphs": [{"context": " ", "qas": []}]}]}', "paragraph 1 has no text"),
        ('{"data": []}', "answers has no train questions in a.json"),
        (
            '{"data": [{"paragraphs": [{"context": "a cat", "qas": [{"answers": []}]}]}]}',
            "a.json, paragraph 1: a question without question, answers or 'question'",
        ),
        (
            '{"data": [{"paragraphs": [{"context": "a cat", "qas": '
            '[{"question": "q", "answers": []}]}]}]}',
            "paragraph 1: 'q' has no answer",
        ),
        (
            '{"data": [{"paragraphs": [{"context": "a cat", "qas": '
            '[{"question": "q", "answers": [{"text": "cat", "answer_start": 1}]}]}]}]}',
            "paragraph 1: the answer 'cat' does not stand at 1: mend it",
        ),
        (
            '{"data": [{"paragraphs": [{"context": "a cat", "qas": '
            '[{"question": "", "answers": [{"text": "cat", "answer_start": 2}]}]}]}]}',
            "paragraph 1: a question is blank",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        task_of().read(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_real_file_is_read(shared_data: Path) -> None:
    if not (shared_data / "xquad").is_dir():
        pytest.skip("xquad does not lie beside the checkout")
    examples = known()["xquad"].read(shared_data)
    num = [len(examples.test), *(len(some) for some in examples.learned.values())]
    assert sum(num) == 1190
    assert len({each.context for each in examples.test}) == 60
