"""Questions about texts as SQuAD lays them out, and its measures of an answer.

Rajpurkar et al. 2016 (https://arxiv.org/abs/1606.05250), version 1.1, and its script.
"""

import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcompare.errors import UserError
from lmcompare.parsing import brief, parse_json
from lmcompare.textfiles import read_whole


@dataclass(frozen=True, kw_only=True)
class SquadQuestion:
    """A question about a text, and its answers; each with the character where it begins."""

    number: int
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]


def questions(path: Path) -> list[SquadQuestion]:
    """Return all questions of a file.

    Raises:
        UserError: it cannot be read, is laid out otherwise, or an answer is not where it should be.
    """
    found: list[SquadQuestion] = []
    for context, where, records in _paragraphs(path):
        for record in records:
            question, answers = _question(record, context, where)
            found.append(
                SquadQuestion(
                    number=len(found), question=question, context=context, answers=answers
                )
            )
    return found


def _paragraphs(path: Path) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Yield each text, where it stands, and the questions about it."""
    content = parse_json(read_whole(path), where=str(path))
    try:
        paragraphs = [each for article in content["data"] for each in article["paragraphs"]]
        found = [(each["context"], each["qas"]) for each in paragraphs]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not laid out as SQuAD: data, paragraphs, context, qas ({error})"
        ) from None
    for number, (context, questions) in enumerate(found, start=1):
        where = f"{path}, paragraph {number}"
        if not isinstance(context, str) or not context.strip() or not isinstance(questions, list):
            raise UserError(f"{where} has no text or no list of questions: mend it")
        yield context, where, questions


def _question(
    record: Mapping[str, Any], context: str, where: str
) -> tuple[str, tuple[tuple[str, int], ...]]:
    try:
        question = record["question"]
        answers = tuple((each["text"], each["answer_start"]) for each in record["answers"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{where}: a question without question, answers or {error}") from None
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"{where}: a question is blank")
    if not answers:
        raise UserError(f"{where}: {brief(question)} has no answer; leave such questions out")
    for answer, start in answers:
        stands = isinstance(answer, str) and type(start) is int and start >= 0
        if not stands or not answer.strip() or not context[start:].startswith(answer):
            raise UserError(
                f"{where}: the answer {brief(answer)} does not stand at {brief(start)}: mend it"
            )
    return question.strip(), answers


def normal(text: str) -> list[str]:
    """Return the words of an answer, without case, punctuation and articles."""
    lower = "".join(each for each in text.lower() if each not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", lower).split()


def exact(said: str, answer: str) -> float:
    """Tell whether both have the same words."""
    return float(normal(said) == normal(answer))


def f1(said: str, answer: str) -> float:
    """Return the F1 of the words of both, in any order."""
    one, two = normal(said), normal(answer)
    same = sum((Counter(one) & Counter(two)).values())
    return 2 * same / (len(one) + len(two)) if same else 0.0
