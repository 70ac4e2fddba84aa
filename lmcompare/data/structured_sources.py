"""Records as documents: JSON lines, Parquet files and Hugging Face datasets.

pyarrow and datasets are extras, imported when a source needs them. A field that is null is an empty
document, as real datasets have them, and is left out like any other; a field that is missing is an
error.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from lmcompare.data.text_sources import CUT_IT, REPLACE, UNITS, Rules, hash_file
from lmcompare.errors import UserError
from lmcompare.parsing import listed, parse_json
from lmcompare.textfiles import cut_lines, decode, open_text, too_long

PARQUET_ROWS = 64  # read at once


@dataclass(frozen=True, kw_only=True)
class JsonLines:
    """One JSON object a line, compressed or not; one of its fields is the document."""

    path: Path
    name: str
    rules: Rules
    kind: str = UNITS["record"]

    def hash(self) -> str:
        """Return the hash of the file as it is on disk."""
        return hash_file(self.path, name=self.name)

    def texts(self) -> Iterator[str]:
        """Yield the documents in order.

        Raises:
            UserError: the file is unreadable or a line is not such an object.
        """
        rules = self.rules
        with open_text(self.path, name=self.name) as stream:
            for number, offset, raw in cut_lines(
                stream, name=self.name, limit=rules.limit, remedy=CUT_IT
            ):
                line = decode(
                    raw,
                    name=self.name,
                    line=number,
                    offset=offset,
                    errors=rules.encoding_errors,
                    remedy=REPLACE,
                )
                if not line.strip():
                    continue
                place = f"line {number} of '{self.name}'"
                record = parse_json(line, where=place, halves=True)
                if not isinstance(record, dict):
                    raise UserError(
                        f"{place} is a JSON {type(record).__name__}: "
                        "put one JSON object on each line"
                    )
                require_field(record, place=place, rules=rules)
                yield from text_of(record[rules.field], place=place, rules=rules)


@dataclass(frozen=True, kw_only=True)
class Parquet:
    """A Parquet file; one of its columns holds the documents."""

    path: Path
    name: str
    rules: Rules
    kind: str = UNITS["record"]

    def hash(self) -> str:
        """Return the hash of the file as it is on disk."""
        return hash_file(self.path, name=self.name)

    def texts(self) -> Iterator[str]:
        """Yield the documents in order.

        Raises:
            UserError: pyarrow is missing, the file is damaged, or it has no such column of text.
        """
        parquet = extra("pyarrow.parquet", package="pyarrow", name=self.name)
        number = 0
        try:
            with self.path.open("rb") as stream, parquet.ParquetFile(stream) as file:
                require_field(file.schema_arrow.names, place=f"'{self.name}'", rules=self.rules)
                for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=[self.rules.field]):
                    for value in _bytes_of(batch.column(0)).to_pylist():
                        number += 1
                        yield from text_of(
                            value, place=f"row {number} of '{self.name}'", rules=self.rules
                        )
        except (OSError, import_module("pyarrow").ArrowException) as error:
            raise UserError(
                f"'{self.name}' cannot be read as Parquet: {_reason(error)}; write it again"
            ) from error


def _bytes_of(column: Any) -> Any:
    """Return a column of text as bytes, which pyarrow does not check; another as it is."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_string(column.type) or types.is_large_string(column.type):
        return column.cast(pyarrow.large_binary())
    return column


def _reason(error: Exception) -> str:
    """Return the first line of what a library says."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


@dataclass(frozen=True, kw_only=True)
class HuggingFace:
    """A dataset of the Hugging Face hub or a local folder of one: `hf:NAME`, `hf:NAME:SPLIT`."""

    PREFIX: ClassVar[str] = "hf:"

    name: str
    rules: Rules
    kind: str = UNITS["record"]

    @cache  # noqa: B019 (a process reads few, and each from the network)
    def hash(self) -> str:
        """Return the hash of the documents, which are read for it once a process."""
        digest = blake2b()
        for text in self.texts():
            digest.update(blake2b(text.encode()).digest())
        return digest.hexdigest()

    def texts(self) -> Iterator[str]:
        """Yield the documents in order, streamed.

        Raises:
            UserError: datasets is missing, there is no such dataset or split, or it has no such
                field of text.
        """
        place = f"'{self.name}'"
        dataset = self._open()
        if dataset.column_names is not None:
            require_field(dataset.column_names, place=place, rules=self.rules)
        try:
            for number, record in enumerate(dataset, start=1):
                require_field(record, place=place, rules=self.rules)
                yield from text_of(
                    record[self.rules.field], place=f"row {number} of {place}", rules=self.rules
                )
        except UserError:
            raise
        except Exception as error:  # as in `_open`
            raise UserError(
                f"the dataset {place} cannot be read ({type(error).__name__}: {_reason(error)}): "
                "check its files and the network"
            ) from error

    def _open(self) -> Any:
        datasets = extra("datasets", package="datasets", name=self.name)
        path, _, split = self.name.removeprefix(self.PREFIX).partition(":")
        saved = any((Path(path) / file).is_file() for file in ("dataset_dict.json", "state.json"))
        try:
            if not saved:
                return datasets.load_dataset(path, split=split or "train", streaming=True)
            dataset = datasets.load_from_disk(path)
            if isinstance(dataset, datasets.DatasetDict):
                dataset = dataset[split or "train"]
            elif split:
                raise KeyError(split)
        except (
            Exception
        ) as error:  # whatever the library, the network and the dataset's own files throw
            raise UserError(
                f"the dataset '{self.name}' cannot be opened "
                f"({type(error).__name__}: {_reason(error)}): check its name and split, "
                "written hf:NAME_OR_FOLDER:SPLIT, and the network"
            ) from error
        return dataset


def require_field(record: Iterable[str], *, place: str, rules: Rules) -> None:
    """Refuse a record without the field that the documents are in."""
    fields = list(record)
    if rules.field not in fields:
        raise UserError(
            f"{place} has no field '{rules.field}': "
            f"it has {listed(fields) or 'none'}; name one with data.field"
        )


def text_of(value: object, *, place: str, rules: Rules) -> Iterator[str]:
    """Yield the document that a field holds, or nothing if it is empty."""
    if value is None:
        return
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8", errors=rules.encoding_errors)
        except UnicodeDecodeError as error:
            raise UserError(
                f"the field '{rules.field}' in {place} is not UTF-8, as its byte {error.start} is "
                f"0x{value[error.start]:02x}: write it again{REPLACE}"
            ) from None
    if not isinstance(value, str):
        raise UserError(
            f"the field '{rules.field}' in {place} is {type(value).__name__}, "
            "not text: name another with data.field"
        )
    if not value.isascii():  # JSON can spell half a surrogate pair, which UTF-8 cannot
        try:
            value.encode()
        except UnicodeEncodeError as error:
            if rules.encoding_errors == "strict":
                raise UserError(
                    f"the field '{rules.field}' in {place} holds half a surrogate pair, "
                    f"which is not a character: correct it{REPLACE}"
                ) from error
            value = value.encode("utf-8", errors="replace").decode()
    if len(value) > rules.limit:
        raise too_long(place, rules.limit, "cut it, or raise data.max_document_mb")
    if value and not value.isspace():
        yield value


def extra(module: str, *, package: str, name: str) -> Any:
    """Import a module of an optional package.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"'{name}' needs the package {package}: pip install {package}") from error
