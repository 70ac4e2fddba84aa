"""What was measured of a run's models: a record a result, beside it a line an item."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import BaseModel

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.generation_records import GenerationItem, GenerationRecord
from lmcompare.records import InfillingItem, InfillingRecord, LikelihoodRecord, ResultRecord
from lmcompare.task_records import TaskItem, TaskRecord

Item = TypeVar("Item", bound=BaseModel)


@dataclass(frozen=True)
class Results:
    """The folder of a run's results; it may not exist yet."""

    folder: Path

    def write(self, record: ResultRecord, items: Iterable[BaseModel]) -> Path:
        """Keep a result and its items; one that asked the same of the same text is replaced."""
        place = self._file(record)
        lines = "".join(item.model_dump_json() + "\n" for item in items)
        files.write_text(place.with_suffix(".jsonl"), lines)
        record.write(place)
        return place

    def _file(self, record: ResultRecord) -> Path:
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in record.stem)
        return self.folder / f"{name}.json"

    def likelihoods(self) -> list[LikelihoodRecord]:
        """The likelihoods measured so far."""
        return [
            LikelihoodRecord.read(path) for path in sorted(self.folder.glob("likelihood-*.json"))
        ]

    def infillings(self) -> list[InfillingRecord]:
        """What hidden tokens it was asked about so far."""
        return [InfillingRecord.read(path) for path in sorted(self.folder.glob("infilling-*.json"))]

    def infilling_items(self, record: InfillingRecord) -> list[InfillingItem]:
        """The texts behind one of them.

        Raises:
            UserError: they are missing or broken.
        """
        return self._items(record, InfillingItem)

    def generations(self) -> list[GenerationRecord]:
        """What it wrote so far."""
        return [
            GenerationRecord.read(path) for path in sorted(self.folder.glob("generation-*.json"))
        ]

    def generation_items(self, record: GenerationRecord) -> list[GenerationItem]:
        """The texts behind one of them.

        Raises:
            UserError: they are missing or broken.
        """
        return self._items(record, GenerationItem)

    def _items(self, record: ResultRecord, kind: type[Item]) -> list[Item]:
        place = self._file(record).with_suffix(".jsonl")
        try:
            lines = place.read_text(encoding="utf-8").splitlines()
            return [kind.model_validate_json(line) for line in lines]
        except (OSError, ValueError):
            raise UserError(f"{place} is missing or damaged: {record.remedy}") from None

    def tasks(self) -> list[TaskRecord]:
        """How well it did at tasks so far."""
        return [TaskRecord.read(path) for path in sorted(self.folder.glob("task-*.json"))]

    def task_items(self, record: TaskRecord) -> list[TaskItem]:
        """The examples behind one of them.

        Raises:
            UserError: they are missing or broken.
        """
        return self._items(record, TaskItem)

    def task_scores(self, record: TaskRecord) -> Float[ndarray, "2 N"]:
        """What was gained of each example behind one of them, and what was possible.

        A suite may have a hundred thousand, so no line is looked at beyond that.

        Raises:
            UserError: they are missing or broken, or not as many as the record says.
        """
        place = self._file(record).with_suffix(".jsonl")
        try:
            with place.open(encoding="utf-8") as lines:
                read = [(each["gained"], each["possible"]) for each in map(json.loads, lines)]
            scores = np.array(read, dtype=np.float64).reshape(-1, 2).T
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{place} is missing or damaged: {record.remedy}") from None
        if scores.shape[1] != record.num_items:
            raise UserError(
                f"{place} has {scores.shape[1]:,} answers to the {record.num_items:,} examples of "
                f"{record.task}: {record.remedy}"
            )
        return scores

    def keep_items(self, record: TaskRecord, items: Iterable[TaskItem]) -> None:
        """Append answers to those of a result that is not complete.

        Raises:
            UserError: the disk is full or the folder not writable.
        """
        place = self._unfinished_file(record)
        with files.explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("a", encoding="utf-8") as file:
                file.writelines(item.model_dump_json() + "\n" for item in items)

    def kept_items(self, record: TaskRecord) -> list[TaskItem]:
        """The answers of a result that was not completed; a line that was cut off is left out."""
        place = self._unfinished_file(record)
        if not place.exists():
            return []
        try:
            lines = place.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]
            items = [TaskItem.model_validate_json(line) for line in whole]
        except ValueError:
            return []
        if len(whole) < len(lines):
            files.write_text(place, "".join(whole))
        return items

    def forget_items(self, record: TaskRecord) -> None:
        """Drop the answers of a result that was not completed."""
        self._unfinished_file(record).unlink(missing_ok=True)

    def _unfinished_file(self, record: TaskRecord) -> Path:
        return self._file(record).with_suffix(".unfinished")
