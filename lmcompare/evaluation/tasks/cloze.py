"""The last word of a text: does a model write it, and how probable does it find it?

Paperno et al. 2016, LAMBADA (https://arxiv.org/abs/1606.06031). A word counts if the model, writing
as many tokens greedily as it has, writes it. Any held-out text makes such a set: of each document,
pieces that end with a sentence's last word.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from lmcompare import rng
from lmcompare.errors import UserError
from lmcompare.evaluation.greedy import fitting, writes
from lmcompare.evaluation.readers import table_files
from lmcompare.evaluation.span_scoring import Span, choose_scoring, score_spans
from lmcompare.evaluation.tasks.base import Examples, Predictions, Task
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.objectives.decoding.sampler import Sampler
from lmcompare.runs.loaded_model import LoadedModel

AT_ONCE = 256  # texts that are kept together

_ABBREVIATIONS = {"Capt", "Col", "Dr", "Gen", "Mr", "Mrs", "Ms", "Prof", "Rev", "St", "etc"}
_NO_END = "".join(rf"(?<!\b{each}\.)" for each in sorted(_ABBREVIATIONS))
_SENTENCE_END = re.compile(rf"(?<=[.!?]){_NO_END}\s+(?=[A-Z\"'])")
_LAST_WORD = re.compile(r" ([^\W\d_]{2,})[.!?][\"')]*$")


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A text without its last word, and that word with the space before it."""

    number: int
    before: str
    word: str


class Cloze(Task[Passage]):
    """Texts whose last word is asked for."""

    kind: Literal["cloze"] = "cloze"
    files: tuple[str, ...] = Field(description="patterns, of .jsonl, .csv or .tsv")
    text: str = Field("text", description="the field of the text")

    about = "the last word of a text"

    @property
    def source(self) -> str:
        return ", ".join(self.files)

    def read(self, folder: Path) -> Examples[Passage]:
        passages: list[Passage] = []
        for path in table_files.find(folder, self.files, task=self.name):
            for where, record in table_files.table(path):
                text = table_files.text_of(record, self.text, where).strip()
                before, space, word = text.rpartition(" ")
                if not before.strip():
                    raise UserError(f"{where}: '{text}' is one word, with nothing before it")
                passages.append(
                    Passage(number=len(passages), before=before.rstrip(), word=space + word)
                )
        if not passages:
            raise UserError(f"the task {self.name} has no text in {self.source}: mend the files")
        return Examples(test=passages)

    def chance(self, examples: Examples[Passage]) -> float:
        return 0.0

    def evaluate(
        self,
        model: LoadedModel,
        examples: Examples[Passage],
        *,
        protocol: str,
        done: frozenset[int],
        report: Callable[[float], None],
    ) -> Predictions:
        counts: Counter[str] = Counter()
        wholes = [Span(text=each.word, before=each.before) for each in examples.test]
        spans = [fitting(model, each) for each in wholes]
        num_cut = sum(cut != whole for cut, whole in zip(spans, wholes, strict=True))
        if num_cut:
            counts["texts cut at their beginning"] = num_cut
        scoring = choose_scoring(model, spans)
        method = model.objective.choose_decoding_method(
            None, Sampler(greedy=True), holes="end", any_length=False
        )
        return Predictions(
            description=f"greedy {method}; {scoring} of the word",
            items=_said(model, examples.test, spans, done, scoring, report),
            scoring=scoring,
            counts=counts,
        )

    def figures(self, items: Sequence[TaskItem]) -> Mapping[str, float]:
        nats = sum(item.figures["nats"] for item in items)
        return {"nats a word": nats / len(items)}


def _said(
    model: LoadedModel,
    passages: Sequence[Passage],
    spans: Sequence[Span],
    done: frozenset[int],
    scoring: str,
    report: Callable[[float], None],
) -> Iterator[TaskItem]:
    left = [
        (passage, part)
        for passage, part in zip(passages, spans, strict=True)
        if passage.number not in done
    ]
    for start in range(0, len(left), AT_ONCE):
        some = left[start : start + AT_ONCE]
        verdicts = score_spans(model, [part for _, part in some], scoring)
        written = writes(model, [part for _, part in some])
        for (passage, _), verdict, is_written in zip(some, verdicts, written, strict=True):
            yield TaskItem(
                item=passage.number,
                score=float(is_written),
                figures={"nats": verdict.nats, "tokens": verdict.num_tokens},
            )
        report((start + len(some)) / len(left))


def passages_of(texts: Iterable[str], *, num: int, words: int) -> Iterator[str]:
    """Yield pieces of texts that end with a sentence's last word, without the stop behind it.

    They do not overlap. Of each text there is one, then a second one of each, and so on, in random
    order within a text.

    Args:
        texts: documents.
        num: pieces at most.
        words: of a piece at least; it begins where a sentence does.
    """
    found = [_pieces(text, words, number) for number, text in enumerate(texts)]
    turns = (piece for turn in zip_longest(*found) for piece in turn if piece is not None)
    yield from islice(turns, num)


def _pieces(text: str, words: int, number: int) -> list[str]:
    sentences = _SENTENCE_END.split(" ".join(text.split()))
    pieces, start = [], 0
    while start < len(sentences):
        stop, length = start, 0
        while stop < len(sentences) and length < words:
            length += len(sentences[stop].split())
            stop += 1
        if length >= words and (piece := _to_the_last_word(" ".join(sentences[start:stop]))):
            pieces.append(piece)
        start = stop
    draw = torch.rand(len(pieces), generator=rng.generator("passages", number))
    return [pieces[index] for index in draw.argsort(stable=True).tolist()]


def _to_the_last_word(text: str) -> str | None:
    """Return what comes before the stop; None without a word there that a space comes before."""
    ended = _LAST_WORD.search(text)
    return None if ended is None or ended[1] in _ABBREVIATIONS else text[: ended.end(1)]
