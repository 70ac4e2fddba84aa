"""Multiple choice: which answer is taken, and how questions are read."""

import json
from pathlib import Path

import pytest

from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.evaluation.span_scoring import Span, score_spans
from lmcompare.evaluation.tasks.base import Examples
from lmcompare.evaluation.tasks.multiple_choice import Choice, Question
from lmcompare.evaluation.tasks.registry import read_tasks
from lmcompare.objectives import OBJECTIVES, Clm, parse_objective
from tests.untrained import subject_of

TASK = Choice(name="which", group="understanding", files=("*.jsonl",))
QUESTIONS = [
    Question(number=0, before="the old", behind=" ran.", choices=(" cat", " saw under"), right=0),
    Question(number=1, before="a dog", behind="", choices=(" slept", " tree", " the"), right=2),
    Question(number=2, before="", behind=" saw a cat.", choices=("the dog", "to"), right=1),
]


def chosen(model, questions=QUESTIONS, task: Choice = TASK):
    examples = Examples(test=questions)
    found = task.evaluate(
        model, examples, protocol="asked", done=frozenset(), report=lambda share: None
    )
    return found, [*found.items]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_most_probable_choice_is_taken(name: str, tokenizer: Tokenizer) -> None:
    """By the sum, the mean of a token, and of a byte; of holes and of ends alike."""
    model = subject_of(parse_objective(name), tokenizer)
    found, items = chosen(model)
    for question, item in zip(QUESTIONS, items, strict=True):
        parts = [
            Span(before=question.before, text=each, behind=question.behind)
            for each in question.choices
        ]
        verdicts = score_spans(model, parts, found.scoring)
        for by, costs in {
            "sum": [each.nats for each in verdicts],
            "token": [each.nats / each.num_tokens for each in verdicts],
            "byte": [each.nats / each.num_bytes for each in verdicts],
        }.items():
            assert item.figures[by] == float(costs.index(min(costs)) == question.right)
        assert item.score == item.figures["sum"]
    assert TASK.figures(items)["accuracy by token"] == sum(
        item.figures["token"] for item in items
    ) / len(items)


def test_equal_choices_share_what_there_is_to_gain(tokenizer: Tokenizer) -> None:
    alike = Question(number=0, before="a dog", behind="", choices=(" ran", " ran"), right=1)
    _, (item,) = chosen(subject_of(Clm(), tokenizer), [alike])
    assert item.score == 0.5


def test_the_way_that_counts_is_a_setting(tokenizer: Tokenizer) -> None:
    by_byte = TASK.model_copy(update={"by": "byte"})
    found, items = chosen(subject_of(Clm(), tokenizer), task=by_byte)
    assert [item.score for item in items] == [item.figures["byte"] for item in items]
    assert found.description == "causal of each choice, by byte"


def test_chance_is_one_of_the_choices() -> None:
    assert TASK.chance(Examples(test=QUESTIONS)) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)


def questions(folder: Path, *records: object) -> Path:
    lines = "".join(json.dumps(each) + "\n" for each in records)
    (folder / "x.jsonl").write_text(lines, encoding="utf-8")
    return folder


def test_questions_are_made_of_a_template(tmp_path: Path) -> None:
    questions(tmp_path, {"text": "It rains. ", "choices": ["yes", " no "], "label": 1})
    (question,) = TASK.read(tmp_path).test
    assert question == Question(
        number=0, before="It rains.", behind="", choices=(" yes", " no"), right=1
    )
    task = Choice(
        name="sentiment",
        group="understanding",
        files=("*.jsonl",),
        template='"{text}" It was ___, {who} said.',
        choices=("bad", "good"),
        labels=("neg", "pos"),
    )
    questions(tmp_path, {"text": "Dull.", "who": "he", "label": "neg"})
    (question,) = task.read(tmp_path).test
    assert question.before == '"Dull." It was'
    assert question.behind == ", he said."
    assert (question.choices, question.right) == ((" bad", " good"), 0)
    questions(tmp_path, {"text": "{who}", "who": "he", "label": " neg\t"})
    (question,) = task.model_copy(update={"template": "{{{text}}} ___"}).read(tmp_path).test
    assert (question.before, question.right) == ("{{who}}", 0)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"choices": ["a", "b"], "label": 0}, "line 1 has no text 'text' for the template"),
        ({"text": "t", "label": 0}, "'choices' are no texts to choose from: None"),
        ({"text": "t", "choices": ["a"], "label": 0}, "are no texts to choose from: ['a']"),
        ({"text": "t", "choices": ["a", ""], "label": 0}, "are no texts to choose from"),
        ({"text": "t", "choices": ["a", "b"]}, "'label' is None, no number of a choice"),
        ({"text": "t", "choices": ["a", "b"], "label": 2}, "'label' is 2, no number of a choice"),
    ],
)
def test_broken_questions_are_one_line(
    record: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        TASK.read(questions(tmp_path, record))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('template = "{text}"', "has not one hole, ___"),
        ('template = "{text:>999999999} ___"', "more than the name of a field in braces"),
        ('template = "{text!r} ___"', "more than the name of a field in braces"),
        ('template = "{text.__class__} ___"', "more than the name of a field in braces"),
        ('template = "{text[0]} ___"', "more than the name of a field in braces"),
        ('template = "{text:{width}} ___"', "more than the name of a field in braces"),
        ('template = "{} ___"', "more than the name of a field in braces"),
        ('template = "{text ___"', "expected '}' before end of string"),
        ('choices = ["a"]', "one choice is none"),
        ('labels = ["a", "b"]', "labels stand beside as many choices"),
        ('by = "word"', "by: Input should be 'sum', 'token' or 'byte'"),
    ],
)
def test_broken_tasks_are_one_line(settings: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "tasks.toml"
    file.write_text(f'[mine]\nkind = "choice"\ngroup = "grammar"\nfiles = ["x"]\n{settings}\n')
    with pytest.raises(UserError) as error:
        read_tasks(file)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
