"""The objectives side by side: what each says of itself, and what it predicts and costs, measured.

Both are means over draws of a fixed made-up text, so that no table can differ from the code.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from io import StringIO
from typing import Any

import torch
from pydantic import BaseModel

from lmcompare import rng
from lmcompare.model import ModelConfig, training_flops
from lmcompare.objectives import (
    EVERY,
    OBJECTIVES,
    Clm,
    Objective,
    Question,
    Scoring,
    parse_objective,
)
from lmcompare.view import Text
from lmcompare.vocab import ALIASES, NUM_SENTINELS, Vocab

MODEL, VOCAB_SIZE = "small", 4096
ROWS, LENGTH, DRAWS = 64, 512, 16  # of the text, and of what is made of it
NOTES = (
    "kind: what its usual score of a text is: the model's own probability (exact), a bound on it, "
    "or a score that is none (pseudo).",
    "predicted: targets for each token of text.",
    "cost: FLOPs of training on the same text, clm's being 1. "
    f"Size {MODEL}, {VOCAB_SIZE:,} ids, {LENGTH} tokens in a row; an encoder-decoder has about as "
    "many parameters as the others.",
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An objective, and what was measured of it.

    Attributes:
        objective: with all of its hyper-parameters.
        predicted: targets for each token of text.
        cost: FLOPs of training on a text, relative to those of `clm`.
    """

    objective: Objective
    predicted: float
    cost: float

    @property
    def kind(self) -> str:
        """Return the kind of its usual score of a text; empty where it has none."""
        how = self._usual("text")
        return how.likelihood if how else ""

    @property
    def scores(self) -> str:
        """Return what it can usually score, with the kind of score where that is unusual."""
        said = []
        for question in EVERY:
            if how := self._usual(question):
                kind = "" if how.likelihood == self.kind else f" ({how.likelihood})"
                blind = question == "holes" and how.given == "left"
                said.append(question + kind + (" from the left only" if blind else ""))
        return ", ".join(said)

    def _usual(self, question: Question) -> Scoring | None:
        scorings = self.objective.scorings.values()
        return next((how for how in scorings if question in how.answers), None)

    def columns(self) -> dict[str, str]:
        """Return what a table may show of it, in words."""
        return {
            "name": self.objective.name,
            "kind": self.kind,
            "predicts": self.objective.predicts,
            "sees": self.objective.attention,
            "predicted": f"{self.predicted:.0%}",
            "cost": f"{self.cost:.2f}",
            "generates": self.objective.generates,
            "scores": self.scores,
            "paper": self.objective.paper,
        }


def catalogue() -> list[Entry]:
    """Return every objective, with its default hyper-parameters."""
    return [describe(parse_objective(name)) for name in OBJECTIVES]


def describe(objective: Objective) -> Entry:
    """Measure an objective."""
    predicted, flops = _measured(objective)
    return Entry(objective=objective, predicted=predicted, cost=flops / _measured(Clm())[1])


def about(objective: Objective) -> str:
    """Return what its module says of it: a line, and paragraphs."""
    kind = type(objective)
    return cleandoc(sys.modules[kind.__module__].__doc__ or kind.__doc__ or kind.__name__)


def settings(objective: Objective) -> Iterator[tuple[str, Any, str]]:
    """Yield each hyper-parameter: its name, its value and what it is."""
    for name, field in type(objective).model_fields.items():
        if name != "name":
            yield name, getattr(objective, name), field.description or ""


def brief(value: Any) -> str:
    """Return a setting's value to read; of a table, its name and what differs from the default."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        own = [name for name, field in fields.items() if name == "name" or field.is_required()]
        changed = [
            f"{name}={brief(getattr(value, name))}"
            for name, field in fields.items()
            if name not in own
            and getattr(value, name) != field.get_default(call_default_factory=True)
        ]
        words = [brief(getattr(value, name)) for name in own]
        return " ".join([*words, f"({', '.join(changed)})"] if changed else words)
    if isinstance(value, tuple):
        return ", ".join(map(brief, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def to_markdown(entries: Sequence[Entry], *, columns: Sequence[str] = ()) -> str:
    """Return a table in GitHub's Markdown, of some or all of the columns."""
    rows = [each.columns() for each in entries]
    names = columns or [*rows[0]]
    lines = [names, ["---:" if name in ("predicted", "cost") else "---" for name in names]]
    for row in rows:
        lines.append([f"`{row[name]}`" if name == "name" else row[name] for name in names])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(entries: Sequence[Entry]) -> str:
    """Return a row for each, with numbers as they were measured."""
    text = StringIO()
    rows = [_with_numbers(each) for each in entries]
    writer = csv.DictWriter(text, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_json(entries: Sequence[Entry]) -> str:
    """Return everything, for a machine."""
    rows = []
    for each in entries:
        defaults = each.objective.model_dump(mode="json")
        rows.append(
            {
                **_with_numbers(each),
                "about": about(each.objective),
                "scorings": {name: how.facts() for name, how in each.objective.scorings.items()},
                "settings": [
                    {"name": name, "default": defaults[name], "description": what}
                    for name, _, what in settings(each.objective)
                ],
            }
        )
    return json.dumps(rows, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Entry]], str]] = {
    "csv": to_csv,
    "md": to_markdown,
    "json": to_json,
}


def _with_numbers(entry: Entry) -> dict[str, Any]:
    return {**entry.columns(), "predicted": entry.predicted, "cost": entry.cost}


@cache
def _measured(objective: Objective) -> tuple[float, float]:
    """Return the targets for each token of the made-up text, and the FLOPs of training on it."""
    text, vocab = _made_up()
    model = ModelConfig.model_validate(MODEL)
    if objective.encodes:
        model = model.with_encoder()
    views = [
        objective.corrupt(text, vocab, rng.generator("catalogue", draw), progress=draw / DRAWS)
        for draw in range(DRAWS)
    ]
    targets = sum(view.num_targets for view in views) / DRAWS
    flops = sum(training_flops(model, vocab.size, view) for view in views) / DRAWS
    return targets / (ROWS * LENGTH), flops


@cache
def _made_up() -> tuple[Text, Vocab]:
    """Make a text of random tokens, in words of two, and a vocabulary with every role."""
    roles = {role: number for number, role in enumerate(ALIASES)}
    sentinels = tuple(VOCAB_SIZE - 1 - number for number in range(NUM_SENTINELS))
    vocab = Vocab(
        size=VOCAB_SIZE,
        roles=roles,
        specials=frozenset({*roles.values(), *sentinels}),
        sentinels=sentinels,
    )
    stream = rng.generator("catalogue")
    choice = torch.randint(len(vocab.regular), (ROWS, LENGTH), generator=stream)
    start = torch.full((ROWS, 1), vocab.bos)
    tokens = torch.cat([start, vocab.regular[choice]], dim=1)
    word = torch.arange(1, LENGTH + 2).expand_as(tokens) // 2
    return Text(tokens=tokens, visible=torch.ones_like(tokens, dtype=torch.bool), word=word), vocab
