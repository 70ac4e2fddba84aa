"""Minimal pairs: of two sentences that differ in little, which does a model find more probable?

Warstadt et al. 2020, BLiMP (https://arxiv.org/abs/1912.00582): a pair counts where the good one has
more log-probability in sum. Ties count half, as a model that says the same of everything knows
nothing. By the mean of a token, longer sentences are at no disadvantage.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from lmcompare.errors import UserError
from lmcompare.evaluation.readers import table_files
from lmcompare.evaluation.span_scoring import Span, SpanScore, choose_scoring, score_spans
from lmcompare.evaluation.tasks.base import Examples, Predictions, Task
from lmcompare.evaluation.tasks.record import TaskItem
from lmcompare.runs.loaded_model import LoadedModel

AT_ONCE = 1_000  # pairs that are sorted by length together, and kept together

TIE = 0.5


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A good and a bad sentence, and the parts of a suite that they belong to, by level."""

    number: int
    good: str
    bad: str
    parts: Mapping[str, str]


class Pairs(Task[Pair]):
    """Sentences in pairs, one of them acceptable."""

    kind: Literal["pairs"] = "pairs"
    files: tuple[str, ...] = Field(description="patterns, each file a paradigm")
    layout: Literal["table", "alternating", "labelled"] = Field(
        "table",
        description="records with two fields; good and bad lines in turn; lines led by True or "
        "False",
    )
    good: str = Field("sentence_good", description="of a table: the field of the good sentence")
    bad: str = Field("sentence_bad", description="of a table: the field of the bad sentence")
    answers_in: str = Field(
        "",
        description="of a table: a file of lines `id,n`, where the n-th of the two fields, from 0, "
        "is the bad one",
    )
    parts: Mapping[str, str] = Field({}, description="of a table: fields by level")
    first: Literal["good", "bad"] = Field("good", description="of lines in turn")
    part_ends_at: str = Field(
        "", description="of a file's name: what comes before it is the phenomenon"
    )
    joins_punctuation: bool = Field(False, description="drop the space before . , ? !")

    about = "which of two sentences is the more probable"

    @property
    def source(self) -> str:
        return ", ".join(self.files)

    def read(self, folder: Path) -> Examples[Pair]:
        pairs: list[Pair] = []
        counts: Counter[str] = Counter()
        read = {"table": self._table, "alternating": self._alternating, "labelled": self._labelled}
        for path in table_files.find(folder, self.files, task=self.name):
            for good, bad, parts in read[self.layout](path, folder):
                if good == bad:
                    counts["pairs that are equal, left out"] += 1
                    continue
                pairs.append(Pair(number=len(pairs), good=good, bad=bad, parts=parts))
        if not pairs:
            raise UserError(f"the task {self.name} has no pair in {self.source}: mend the files")
        return Examples(test=pairs, counts=counts)

    def chance(self, examples: Examples[Pair]) -> float:
        return TIE

    def evaluate(
        self,
        model: LoadedModel,
        examples: Examples[Pair],
        *,
        protocol: str,
        done: frozenset[int],
        report: Callable[[float], None],
    ) -> Predictions:
        sentences = [Span(text=each) for pair in examples.test for each in (pair.good, pair.bad)]
        scoring = choose_scoring(model, sentences)
        left = [pair for pair in examples.test if pair.number not in done]
        return Predictions(
            description=f"{scoring} of whole sentences, summed",
            items=_compared(model, left, scoring, report),
            scoring=scoring,
        )

    def figures(self, items: Sequence[TaskItem]) -> Mapping[str, float]:
        means = [item.figures["by the mean"] for item in items]
        return {"accuracy by the mean of a token": sum(means) / len(means)}

    def _table(self, path: Path, folder: Path) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        bad_ones = self._bad_ones(folder)
        for where, record in table_files.table(path):
            good, bad = (
                self._joined(table_files.text_of(record, each, where))
                for each in (self.good, self.bad)
            )
            if bad_ones is not None:
                number = str(record.get("id"))
                if number not in bad_ones:
                    raise UserError(f"{where}: {self.answers_in} does not say which is bad")
                good, bad = (good, bad) if bad_ones[number] else (bad, good)
            parts = {
                level: table_files.text_of(record, each, where).strip()
                for level, each in self.parts.items()
            }
            yield good, bad, parts

    def _bad_ones(self, folder: Path) -> Mapping[str, int] | None:
        if not self.answers_in:
            return None
        (path,) = table_files.find(folder, [self.answers_in], task=self.name)
        found = {}
        for where, line in table_files.lines(path):
            number, _, answer = line.partition(",")
            if answer not in ("0", "1"):
                raise UserError(f"{where} is {line!r}, not an id and 0 or 1: mend it")
            found[number] = int(answer)
        return found

    def _alternating(
        self, path: Path, folder: Path
    ) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        found = [self._joined(line) for _, line in table_files.lines(path)]
        if len(found) % 2:
            raise UserError(f"{path} has {len(found)} lines, no pairs of them: mend it")
        for one, two in zip(found[::2], found[1::2], strict=True):
            good, bad = (one, two) if self.first == "good" else (two, one)
            yield good, bad, self._named(path)

    def _labelled(self, path: Path, folder: Path) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        found = []
        for where, line in table_files.lines(path):
            label, _, sentence = line.partition("\t")
            if label not in ("True", "False") or not sentence.strip():
                raise UserError(f"{where} is {line[:40]!r}, not True or False and a sentence")
            found.append((where, label, self._joined(sentence)))
        for start in range(0, len(found), 2):
            pair = found[start : start + 2]
            if [label for _, label, _ in pair] != ["True", "False"]:
                raise UserError(f"{pair[0][0]} begins no pair of a True and a False line: mend it")
            yield pair[0][2], pair[1][2], self._named(path)

    def _named(self, path: Path) -> Mapping[str, str]:
        parts = {"paradigm": path.stem}
        if self.part_ends_at:
            parts = {"phenomenon": path.stem.rpartition(self.part_ends_at)[0], **parts}
        return parts

    def _joined(self, sentence: str) -> str:
        sentence = sentence.strip()
        if self.joins_punctuation:
            for mark in ".,?!":
                sentence = sentence.replace(f" {mark}", mark)
        return sentence


def _compared(
    model: LoadedModel, pairs: Sequence[Pair], scoring: str, report: Callable[[float], None]
) -> Iterator[TaskItem]:
    for start in range(0, len(pairs), AT_ONCE):
        some = pairs[start : start + AT_ONCE]
        # a sentence that stands in several pairs is scored once
        texts = list(dict.fromkeys(each for pair in some for each in (pair.good, pair.bad)))
        verdicts = dict(
            zip(
                texts,
                score_spans(model, [Span(text=each) for each in texts], scoring),
                strict=True,
            )
        )
        for pair in some:
            yield _item(pair, verdicts[pair.good], verdicts[pair.bad])
        report((start + len(some)) / len(pairs))


def _item(pair: Pair, good: SpanScore, bad: SpanScore) -> TaskItem:
    margin = bad.nats - good.nats
    by_mean = bad.nats / max(1, bad.num_tokens) - good.nats / max(1, good.num_tokens)
    return TaskItem(
        item=pair.number,
        score=_won(margin),
        parts=pair.parts,
        figures={"margin": margin, "by the mean": _won(by_mean)},
    )


def _won(margin: float) -> float:
    return TIE if margin == 0 else float(margin > 0)
