"""Multiple choice by likelihood: which of some texts fits best in a place?

As in the evaluations of GPT-3 (Brown et al. 2020, section 2.4): by the sum of log-probability, by
its mean over tokens, and over bytes. With an instruction around the text and names of labels as
choices it is zero-shot classification.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Literal

from pydantic import Field, field_validator, model_validator

from lmcompare.errors import UserError
from lmcompare.evaluation.readers import table_files
from lmcompare.evaluation.span_scoring import Span, SpanScore, choose_scoring, score_spans
from lmcompare.evaluation.tasks.base import Examples, Predictions, Task
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.generation.prompts import HOLE
from lmcompare.parsing import brief, listed
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.textfiles import LONGEST_LINE

AT_ONCE = 256  # questions that are kept together


@dataclass(frozen=True, kw_only=True)
class Question:
    """A text with a hole, what may stand in it, and which of these does."""

    number: int
    before: str
    behind: str
    choices: tuple[str, ...]
    right: int


class Choice(Task[Question]):
    """Questions with a few answers, one of them right."""

    kind: Literal["choice"] = "choice"
    files: tuple[str, ...] = Field(description="patterns, of .jsonl, .csv or .tsv")
    template: str = Field(
        "{text} ___", description="the question: {field} of a record, and one hole for the choices"
    )
    choices: str | tuple[str, ...] = Field(
        "choices", description="the field of the choices, or the choices of all questions"
    )
    label: str = Field("label", description="the field that says which is right")
    labels: tuple[str, ...] = Field(
        (), description="what the label says of each choice; else its number, from 0"
    )
    by: Literal["sum", "token", "byte"] = Field("sum", description="what log-probability is of")

    about = "which of some texts is the most probable in a place"

    @field_validator("template")
    @classmethod
    def _names_fields(cls, template: str) -> str:
        _pieces(template)
        return template

    @model_validator(mode="after")
    def _agrees(self) -> "Choice":
        if self.template.count(HOLE) != 1:
            raise ValueError(f"the template {self.template!r} has not one hole, {HOLE}")
        if isinstance(self.choices, tuple) and not len(self.choices) > 1:
            raise ValueError("one choice is none: give two or more")
        if self.labels and not (
            isinstance(self.choices, tuple) and len(self.labels) == len(self.choices)
        ):
            raise ValueError("labels stand beside as many choices")
        return self

    @property
    def source(self) -> str:
        return ", ".join(self.files)

    def read(self, folder: Path) -> Examples[Question]:
        questions: list[Question] = []
        for path in table_files.find(folder, self.files, task=self.name):
            for where, record in table_files.table(path):
                questions.append(self._question(record, where, len(questions)))
        if not questions:
            raise UserError(f"the task {self.name} asks nothing in {self.source}: mend the files")
        return Examples(test=questions)

    def chance(self, examples: Examples[Question]) -> float:
        shares = [1 / len(question.choices) for question in examples.test]
        return sum(shares) / len(shares)

    def evaluate(
        self,
        model: LoadedModel,
        examples: Examples[Question],
        *,
        protocol: str,
        done: frozenset[int],
        report: Callable[[float], None],
    ) -> Predictions:
        scoring = choose_scoring(model, [part for each in examples.test for part in _parts(each)])
        left = [each for each in examples.test if each.number not in done]
        return Predictions(
            description=f"{scoring} of each choice, by {self.by}",
            items=self._chosen(model, left, scoring, report),
            scoring=scoring,
        )

    def figures(self, items: Sequence[TaskItem]) -> Mapping[str, float]:
        return {
            f"accuracy by {by}": sum(item.figures[by] for item in items) / len(items)
            for by in _SIZES
        }

    def _question(self, record: Mapping[str, object], where: str, number: int) -> Question:
        fields = {name: value.strip() for name, value in record.items() if isinstance(value, str)}
        before, behind = (
            self._filled(part, fields, where) for part in self.template.split(HOLE, maxsplit=1)
        )
        choices = record.get(self.choices) if isinstance(self.choices, str) else self.choices
        if (
            not isinstance(choices, list | tuple)
            or len(choices) < 2
            or not all(isinstance(each, str) and each.strip() for each in choices)
        ):
            raise UserError(
                f"{where}: '{self.choices}' are no texts to choose from: {brief(choices)}"
            )
        return Question(
            number=number,
            before=before.rstrip(),
            behind=behind,
            # a space before a choice belongs to it, as tokenizers have it
            choices=tuple((" " if before.rstrip() else "") + each.strip() for each in choices),
            right=self._right(record.get(self.label), len(choices), where),
        )

    def _filled(self, part: str, fields: Mapping[str, str], where: str) -> str:
        """Return a part of the template with a record's fields in their places."""
        texts = []
        for text, field in _pieces(part):
            if field is not None and field not in fields:
                raise UserError(
                    f"{where} has no text '{field}' for the template {brief(self.template)}, only "
                    f"{listed(fields)}"
                )
            texts += [text, "" if field is None else fields[field]]
        if sum(map(len, texts)) > LONGEST_LINE:
            raise UserError(f"{where} fills the template beyond {LONGEST_LINE:,} bytes: cut it")
        return "".join(texts)

    def _right(self, label: object, num: int, where: str) -> int:
        if self.labels:
            labels = [each.strip() for each in self.labels]
            if str(label).strip() in labels:
                return labels.index(str(label).strip())
            raise UserError(
                f"{where}: '{self.label}' is {brief(label)}, none of {', '.join(self.labels)}"
            )
        if (number := str(label).strip()) in map(str, range(num)):
            return int(number)
        raise UserError(f"{where}: '{self.label}' is {brief(label)}, no number of a choice, from 0")

    def _chosen(
        self,
        model: LoadedModel,
        questions: Sequence[Question],
        scoring: str,
        report: Callable[[float], None],
    ) -> Iterator[TaskItem]:
        for start in range(0, len(questions), AT_ONCE):
            some = questions[start : start + AT_ONCE]
            verdicts = iter(
                score_spans(model, [part for each in some for part in _parts(each)], scoring)
            )
            for question in some:
                found = [next(verdicts) for _ in question.choices]
                won = {by: _won(found, question.right, size) for by, size in _SIZES.items()}
                yield TaskItem(item=question.number, score=won[self.by], figures=won)
            report((start + len(some)) / len(questions))


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """Return a template cut into texts, each with the field that follows it.

    Raises:
        ValueError: a brace is alone, or has more in it than the name of a field. Widths would write
            texts of any size, and attributes are no part of a record.
    """
    found = []
    for text, field, width, conversion in Formatter().parse(template):
        if field is not None and (not field or width or conversion or set(field) & set(".[{")):
            raise ValueError(
                f"the template {brief(template)} has more than the name of a field in braces: "
                "write {field}, or {{ for a brace"
            )
        found.append((text, field))
    return found


def _parts(question: Question) -> list[Span]:
    return [
        Span(text=choice, before=question.before, behind=question.behind)
        for choice in question.choices
    ]


def _won(found: Sequence[SpanScore], right: int, size: Callable[[SpanScore], int]) -> float:
    """Tell whether the right one has the highest score; a share of it where several have."""
    scores = [-each.nats / max(1, size(each)) for each in found]
    best = [number for number, score in enumerate(scores) if score == max(scores)]
    return 1 / len(best) if right in best else 0.0


_SIZES: Mapping[str, Callable[[SpanScore], int]] = {
    "sum": lambda _: 1,
    "token": lambda verdict: verdict.num_tokens,
    "byte": lambda verdict: verdict.num_bytes,
}
