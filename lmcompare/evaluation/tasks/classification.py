"""Classification: which of some labels a text, or a pair of texts, has; learned from examples.

The texts of a pair are read in one row with an end token between them. Labels
are given numbers in alphabetical order.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from lmcompare.errors import UserError
from lmcompare.evaluation.heldout_text import cut
from lmcompare.evaluation.readers import table_files
from lmcompare.evaluation.supervised.finetuning import probe, tune
from lmcompare.evaluation.supervised.pooling import poolings
from lmcompare.evaluation.supervised.spec import (
    FineTuneSpec,
    LabelledRow,
    Outputs,
    joined,
    mean_cross_entropy,
    room,
)
from lmcompare.evaluation.tasks import splits
from lmcompare.evaluation.tasks.base import Examples, Predictions, Task, parts_of_protocol
from lmcompare.evaluation.tasks.classification_items import LabelledText, items_of
from lmcompare.evaluation.tasks.classification_metrics import (
    calibration_error,
    macro_f1,
    matthews,
)
from lmcompare.evaluation.tasks.record import FROZEN_PROBE, TaskItem
from lmcompare.runs.loaded_model import LoadedModel

Split = Literal["train", "validation", "test"]
PROTOCOLS: Mapping[str, int | None] = {"10": 10, "100": 100, "all": None, "probe": None}


class Classification(Task[LabelledText]):
    """Texts or pairs of texts, each with a label."""

    kind: Literal["classification"] = "classification"
    protocol_version = 2
    pools = True
    train: tuple[str, ...] = Field((), description="patterns, of .jsonl, .csv or .tsv")
    validation: tuple[str, ...] = Field((), description="the same; else every tenth to train on")
    test: tuple[str, ...] = Field((), description="the same; else by `test_every`")
    text: str = Field("text", description="of a table: the field of the text")
    text2: str = Field("", description="of a table: the field of a second text, if there is one")
    label: str = Field("label", description="of a table: the field of the label")
    labels_in: Mapping[Split, str] = Field(
        {}, description="of tables with an id: files of lines `id,label`, instead of a field"
    )
    files_by_label: Mapping[str, str] = Field(
        {}, description="instead of tables: files of a text a line, by their label"
    )
    test_every: int | None = Field(
        None, ge=2, description="every n-th example is for the test, where there are no files of it"
    )

    about = "which label a text has, learned from examples"

    @model_validator(mode="after")
    def _agrees(self) -> "Classification":
        if bool(self.files_by_label) == bool(self.train):
            raise ValueError("give either train, tables, or files_by_label")
        if bool(self.test) == bool(self.test_every):
            raise ValueError("give either test, tables, or test_every")
        if self.files_by_label and (self.test or self.validation):
            raise ValueError("files_by_label goes with test_every, without test and validation")
        return self

    @property
    def protocols(self) -> tuple[str, ...]:
        return tuple(PROTOCOLS)

    @property
    def source(self) -> str:
        tables = [*self.train, *self.validation, *self.test]
        patterns = [*tables, *self.labels_in.values(), *self.files_by_label.values()]
        return ", ".join(dict.fromkeys(patterns))

    def read(self, folder: Path) -> Examples[LabelledText]:
        counts: Counter[str] = Counter()
        if self.files_by_label:
            train, test = self._by_label(folder)
            validation: list[LabelledText] = []
        else:
            train = self._tables("train", folder, counts)
            validation = self._tables("validation", folder, counts)
            if self.test_every:
                train, test = splits.every(train, self.test_every, of=_number)
            else:
                test = self._tables("test", folder, counts)
        labels = {example.label for example in train}
        if len(labels) < 2:
            found = f"the label {min(labels)} only" if labels else "no examples"
            raise UserError(f"the task {self.name} has {found} to learn from in {self.source}")
        for example in [*validation, *test]:
            if example.label not in labels:
                raise UserError(
                    f"the task {self.name} asks for the label {example.label!r}, and no example "
                    f"to learn from has it: mend {self.source}"
                )
        if not test:
            raise UserError(f"the task {self.name} asks nothing in {self.source}: mend the files")
        known = {example.texts for example in [*train, *validation]}
        counts["test texts that are learned from, too"] = sum(each.texts in known for each in test)
        numbered = [replace(example, number=number) for number, example in enumerate(test)]
        return Examples(
            test=numbered,
            learned=splits.held_out(train, validation, of=_number),
            counts=+counts,
        )

    def chance(self, examples: Examples[LabelledText]) -> float:
        """Return the share of the label that is most frequent among those to learn from."""
        frequent = Counter(example.label for example in examples.learned["train"])
        label = max(sorted(frequent), key=frequent.__getitem__)
        return sum(each.label == label for each in examples.test) / len(examples.test)

    def evaluate(
        self,
        model: LoadedModel,
        examples: Examples[LabelledText],
        *,
        protocol: str,
        done: frozenset[int],
        report: Callable[[float], None],
    ) -> Predictions:
        labels = _labels(examples)
        protocol, forced = parts_of_protocol(protocol)
        train = splits.drawn(
            examples.learned["train"], PROTOCOLS[protocol], task=self.name, of=self.kind_of
        )
        counts: Counter[str] = Counter()
        tested, taught, judged = (
            self._rows(model, some, labels, what, counts)
            for some, what in (
                (examples.test, "texts"),
                (train, "training texts"),
                (examples.learned["validation"], "validation texts"),
            )
        )
        spec = FineTuneSpec(
            name=self.name,
            train=taught,
            validation=judged,
            num_outputs=len(labels),
            poolings=poolings(model, forced),
            probed=True,
            loss=mean_cross_entropy,
            judge=partial(_accuracy, judged),
        )
        learned = (probe if protocol == "probe" else tune)(model, spec, report=report)
        how = "linear probe trained" if protocol == "probe" else "fine-tuned"
        states = f"pooling {forced}" if forced else "pooling chosen by validation"
        left = [number for number, each in enumerate(examples.test) if each.number not in done]
        rows = [tested[number] for number in left]
        return Predictions(
            description=f"{how} on {len(train)} examples, {states}",
            items=items_of(
                [examples.test[number] for number in left],
                labels,
                learned.outputs(rows),
                None if learned.frozen is None else learned.frozen.outputs(rows),
            ),
            settings={
                **learned.settings,
                "training examples": float(len(taught)),
                "validation examples": float(len(judged)),
            },
            trials=learned.trials,
            counts=counts,
        )

    def figures(self, items: Sequence[TaskItem]) -> Mapping[str, float]:
        label, predicted, confidence = (
            np.array([item.figures[name] for item in items])
            for name in ("label", "predicted", "confidence")
        )
        probe = [item.figures[FROZEN_PROBE] for item in items if FROZEN_PROBE in item.figures]
        return {
            "macro-F1": macro_f1(label, predicted),
            "Matthews": matthews(label, predicted),
            "calibration error": calibration_error(confidence, label == predicted),
            **({FROZEN_PROBE: float(np.mean(probe))} if probe else {}),
        }

    def kind_of(self, example: LabelledText) -> str:
        return example.label

    def _by_label(self, folder: Path) -> tuple[list[LabelledText], list[LabelledText]]:
        train: list[LabelledText] = []
        test: list[LabelledText] = []
        for label, pattern in self.files_by_label.items():
            for path in table_files.find(folder, [pattern], task=self.name):
                own = [
                    LabelledText(number=number, texts=(line.strip(),), label=label.strip())
                    for number, (_, line) in enumerate(table_files.lines(path))
                ]
                rest, taken = splits.every(own, self.test_every or 0, of=_number)
                train, test = train + rest, test + taken
        return [replace(each, number=number) for number, each in enumerate(train)], test

    def _tables(self, split: Split, folder: Path, counts: Counter[str]) -> list[LabelledText]:
        patterns = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        labels = self._labels_of(split, folder, counts)
        found: list[LabelledText] = []
        for path in table_files.find(folder, patterns, task=self.name):
            for where, record in table_files.table(path):
                fields = [self.text, *([self.text2] if self.text2 else [])]
                texts = tuple(table_files.text_of(record, each, where).strip() for each in fields)
                label = self._label(record, labels, where, counts)
                found.append(LabelledText(number=len(found), texts=texts, label=label))
        return found

    def _label(
        self,
        record: Mapping[str, Any],
        labels: Mapping[str, str] | None,
        where: str,
        counts: Counter[str],
    ) -> str:
        if labels is None:
            return table_files.label_of(record, self.label, where, counts)
        number = str(record.get("id"))
        if number not in labels:
            raise UserError(f"{where}: no file of labels_in has the id {number}")
        return labels[number]

    def _labels_of(
        self, split: Split, folder: Path, counts: Counter[str]
    ) -> Mapping[str, str] | None:
        if split not in self.labels_in:
            return None
        found = {}
        for path in table_files.find(folder, [self.labels_in[split]], task=self.name):
            for where, line in table_files.lines(path):
                number, comma, label = line.partition(",")
                if not comma or not label.strip():
                    raise UserError(f"{where} is {line!r}, not an id and a label: mend it")
                found[number] = table_files.stripped(label, counts)
        return found

    def _rows(
        self,
        model: LoadedModel,
        examples: Sequence[LabelledText],
        labels: Sequence[str],
        what: str,
        counts: Counter[str],
    ) -> list[LabelledRow]:
        parts = iter(model.tokenizer.encode([text for each in examples for text in each.texts]))
        rows = []
        for example in examples:
            document = joined([next(parts) for _ in example.texts], model)
            if len(document) > room(model):
                document = cut(document, 0, room(model))
                counts[f"{what} cut at their end"] += 1
            spans = [range(1 + len(document))]
            rows.append(
                LabelledRow(document=document, spans=spans, target=[labels.index(example.label)])
            )
        return rows


def _number(example: LabelledText) -> int:
    return example.number


def _labels(examples: Examples[LabelledText]) -> list[str]:
    return sorted(
        {each.label for some in (examples.test, *examples.learned.values()) for each in some}
    )


def _accuracy(rows: Sequence[LabelledRow], outputs: Outputs) -> float:
    right = [int(each.argmax()) == row.target[0] for row, each in zip(rows, outputs, strict=True)]
    return sum(right) / len(right)
