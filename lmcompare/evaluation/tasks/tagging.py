"""Tagging: which words of a sentence name entities, and of which type; learned from examples.

The metric is the F1 of entities, of which both the words and the type must be right (Tjong Kim Sang
& De Meulder 2003, https://aclanthology.org/W03-0419). Each word is tokenised by itself, with the
space before it, and judged at its last piece, when a model that reads from left to right has seen
all of it, at its first one, or by the mean of all: validation chooses, for all models alike.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from lmcompare.data import Encoded
from lmcompare.errors import Unsupported, UserError
from lmcompare.evaluation.heldout_text import cut
from lmcompare.evaluation.readers import table_files
from lmcompare.evaluation.readers.conll import OUTSIDE, Span, entities, sentences
from lmcompare.evaluation.supervised.finetuning import tune
from lmcompare.evaluation.supervised.spec import (
    FineTuneSpec,
    LabelledRow,
    Outputs,
    joined,
    mean_cross_entropy,
    room,
)
from lmcompare.evaluation.tasks import splits
from lmcompare.evaluation.tasks.base import (
    Examples,
    LearnedTask,
    Predictions,
    parts_of_protocol,
)
from lmcompare.evaluation.tasks.options import Pooling
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.runs.loaded_model import LoadedModel
from lmcompare.view import IGNORE

PROTOCOLS: Mapping[str, int | None] = {"100": 100, "all": None}
POOLINGS: tuple[Pooling, ...] = ("last", "mean", "first")  # of a word's pieces


@dataclass(frozen=True, kw_only=True)
class TaggedSentence:
    """Words and their tags."""

    number: int
    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read(LabelledRow):
    """A sentence as it is read, and which of its words have a span in it."""

    words: Sequence[int]


class Tagging(LearnedTask[TaggedSentence]):
    """Sentences whose words are tagged."""

    kind: Literal["tagging"] = "tagging"
    word: int = Field(0, description="column of the words, from 0; from the end below 0")
    tag: int = Field(-1, description="column of the tags")
    metric = "F1"
    pools = True

    about = "which words name entities, learned from examples"

    @property
    def protocols(self) -> tuple[str, ...]:
        return tuple(PROTOCOLS)

    def read(self, folder: Path) -> Examples[TaggedSentence]:
        counts: Counter[str] = Counter()
        train, validation, test = (
            self._sentences(patterns, folder, counts)
            for patterns in (self.train, self.validation, self.test)
        )
        if self.test_every:
            train, test = splits.every(train, self.test_every, of=_number)
        known = {kind for each in train for _, _, kind in entities(each.tags)[0]}
        if not known:
            raise UserError(f"the task {self.name} has no entity to learn from in {self.source}")
        if not test:
            raise UserError(f"the task {self.name} asks nothing in {self.source}: mend the files")
        mended = "entities that begin with an I- in the files"
        for sentence in [*validation, *test]:
            found, num_mended = entities(sentence.tags)
            counts[mended] += num_mended
            for _, _, kind in sorted(found):
                if kind not in known:
                    raise UserError(
                        f"the task {self.name} asks for the type {kind!r}, and no example to learn "
                        f"from has it: mend {self.source}"
                    )
        counts[mended] += sum(entities(each.tags)[1] for each in train)
        learned = splits.held_out(train, validation, of=_number)
        if not learned["validation"]:
            raise UserError(
                f"the task {self.name} has one sentence to learn from in {self.source}, and none "
                "that could choose settings: add some"
            )
        return Examples(
            test=[
                TaggedSentence(number=number, words=each.words, tags=each.tags)
                for number, each in enumerate(test)
            ],
            learned=learned,
            counts=+counts,
        )

    def chance(self, examples: Examples[TaggedSentence]) -> float:
        return 0.0

    def evaluate(
        self,
        model: LoadedModel,
        examples: Examples[TaggedSentence],
        *,
        protocol: str,
        done: frozenset[int],
        report: Callable[[float], None],
    ) -> Predictions:
        protocol, forced = parts_of_protocol(protocol)
        if forced is not None and forced not in POOLINGS:
            raise Unsupported(f"the pieces of a word have no pooling '{forced}'")
        learned = examples.learned
        tags = sorted({tag for some in learned.values() for each in some for tag in each.tags})
        train = splits.drawn(learned["train"], PROTOCOLS[protocol], task=self.name)
        validation = learned["validation"]
        counts: Counter[str] = Counter()
        tested, taught, judged = (
            _rows(model, some, tags, what, counts)
            for some, what in (
                (examples.test, "words"),
                (train, "training words"),
                (validation, "validation words"),
            )
        )
        taught = [row for row in taught if row.spans]
        spec = FineTuneSpec(
            name=self.name,
            train=taught,
            validation=judged,
            num_outputs=len(tags),
            poolings=POOLINGS if forced is None else (forced,),
            probed=False,
            loss=mean_cross_entropy,
            judge=partial(_f1, validation, judged, tags),
        )
        tuned = tune(model, spec, report=report)
        left = [number for number, each in enumerate(examples.test) if each.number not in done]
        rows = [tested[number] for number in left]
        pieces = f"pooled by {forced}" if forced else "pooled as validation chooses"
        return Predictions(
            description=f"fine-tuned on {len(train)} sentences, pieces of a word {pieces}",
            items=_items(
                [examples.test[number] for number in left], rows, tags, tuned.outputs(rows)
            ),
            settings={
                **tuned.settings,
                "training examples": float(len(train)),
                "validation examples": float(len(judged)),
            },
            trials=tuned.trials,
            counts=counts,
        )

    def figures(self, items: Sequence[TaskItem]) -> Mapping[str, float]:
        right, predicted, given = (
            sum(item.figures[name] for item in items) for name in ("right", "predicted", "given")
        )
        return {
            "precision": right / predicted if predicted else 0.0,
            "recall": right / given if given else 0.0,
        }

    def _sentences(
        self, patterns: Sequence[str], folder: Path, counts: Counter[str]
    ) -> list[TaggedSentence]:
        found: list[TaggedSentence] = []
        for path in table_files.find(folder, patterns, task=self.name):
            for words, tags in sentences(path, word=self.word, tag=self.tag, counts=counts):
                found.append(TaggedSentence(number=len(found), words=words, tags=tags))
        return found


def _number(sentence: TaggedSentence) -> int:
    return sentence.number


def _rows(
    model: LoadedModel,
    sentences: Sequence[TaggedSentence],
    tags: Sequence[str],
    what: str,
    counts: Counter[str],
) -> list[_Read]:
    """Cut sentences to the rows that were trained on, and count the words that this leaves out."""
    number = {tag: index for index, tag in enumerate(tags)}
    pieces = _pieces(model, sentences)
    rows = []
    for sentence in sentences:
        parts = [pieces[each] for each in _spaced(sentence.words)]
        ends = np.cumsum([len(part) for part in parts]).tolist()
        kept = [word for word, end in enumerate(ends) if len(parts[word]) and end <= room(model)]
        lost = sum(bool(len(part)) for part in parts) - len(kept)
        dropped = sum(not len(part) for part in parts)
        counts += Counter({f"{what} behind the cut": lost, f"{what} without a token": dropped})
        rows.append(
            _Read(
                document=cut(_one(parts, model), 0, room(model)),
                spans=[range(1 + ends[word] - len(parts[word]), 1 + ends[word]) for word in kept],
                target=[number.get(sentence.tags[word], IGNORE) for word in kept],
                words=kept,
            )
        )
    return rows


def _one(parts: Sequence[Encoded], model: LoadedModel) -> Encoded:
    return joined([Encoded.join(parts)], model)


def _spaced(words: Sequence[str]) -> list[str]:
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _pieces(model: LoadedModel, sentences: Sequence[TaggedSentence]) -> Mapping[str, Encoded]:
    """Return the tokens of each word, with and without the space before it, as they occur."""
    words = list(dict.fromkeys(each for one in sentences for each in _spaced(one.words)))
    return dict(zip(words, model.tokenizer.encode(words), strict=True))


def _said(
    sentence: TaggedSentence, row: _Read, tags: Sequence[str], output: Float[Tensor, "K O"]
) -> set[Span]:
    """Return the entities that are predicted."""
    said = [OUTSIDE] * len(sentence.words)
    for word, number in zip(row.words, output.argmax(1).tolist(), strict=True):
        said[word] = tags[number]
    return entities(said)[0]


def _f1(
    sentences: Sequence[TaggedSentence],
    rows: Sequence[_Read],
    tags: Sequence[str],
    outputs: Outputs,
) -> float:
    items = list(_items(sentences, rows, tags, outputs))
    max_score = sum(item.max_score for item in items)
    return sum(item.score for item in items) / max_score if max_score else 0.0


def _items(
    sentences: Sequence[TaggedSentence],
    rows: Sequence[_Read],
    tags: Sequence[str],
    outputs: Outputs,
) -> Iterator[TaskItem]:
    for sentence, row, output in zip(sentences, rows, outputs, strict=True):
        given, said = entities(sentence.tags)[0], _said(sentence, row, tags, output)
        right = len(given & said)
        yield TaskItem(
            item=sentence.number,
            score=2 * right,
            max_score=len(given) + len(said),  # 2 right + too many + too few
            figures={"right": right, "predicted": len(said), "given": len(given)},
        )
