"""A corpus: where text comes from, what counts as one document, and which split it falls into.

Documents are streamed and never all in memory. A document's split depends on its text alone, so
that one that occurs twice cannot be in both training and test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lmcompare.data import python_docs, streams
from lmcompare.data.folders import PARQUET, READ, TEXT, look_into, look_up
from lmcompare.data.python_docs import PythonDocs
from lmcompare.data.structured_sources import HuggingFace, JsonLines, Parquet
from lmcompare.data.text_sources import Rules, TextFile
from lmcompare.errors import UserError
from lmcompare.paths import COMPRESSED, JSON_LINES, nearest, suffix_of, user_path
from lmcompare.textfiles import unreadable

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)


class DataConfig(BaseModel):
    """What is trained on and what is held out.

    A source is a text file, a folder (read recursively), a glob, `-` (standard input), a file of
    JSON lines or Parquet, `hf:NAME_OR_FOLDER[:SPLIT]`, or `python-docs`; text and JSON lines may be
    compressed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | tuple[str, ...] = Field(python_docs.NAME, description="the text, or several")
    validation: str | None = Field(
        None, description="a source of its own; a share of the documents by default"
    )
    test: str | None = Field(None, description="likewise")
    document: Literal["auto", "file", "record", "block", "line"] = Field(
        "auto", description="what a document is; auto: a record, a file of several, a block of one"
    )
    field: str = Field("text", description="of a record, that which holds the text")
    encoding_errors: Literal["strict", "replace"] = Field(
        "strict", description="whether bytes that are not UTF-8 are refused"
    )
    shares: tuple[float, float, float] = Field(
        (0.9, 0.05, 0.05), description="of the documents: train, validation, test"
    )
    max_document_mb: int = Field(64, gt=0, description="a longer document is refused")

    @field_validator("shares")
    @classmethod
    def _shares_are_shares(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(shares) < 0 or shares[0] == 0 or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(
                f"shares must be at least 0, the first above 0, and add up to 1, not {shares}"
            )
        return shares

    @property
    def names(self) -> tuple[str, ...]:
        """Return the sources of the training text."""
        return (self.source,) if isinstance(self.source, str) else self.source

    @property
    def rules(self) -> Rules:
        """Return how files are read."""
        return Rules(
            field=self.field,
            encoding_errors=self.encoding_errors,
            max_document_mb=self.max_document_mb,
        )


@runtime_checkable
class Source(Protocol):
    """One file or dataset."""

    @property
    def kind(self) -> str: ...
    def hash(self) -> str: ...
    def texts(self) -> Iterator[str]: ...


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Sources that have been found, in order; nothing is read yet."""

    name: str  # as the user gave it
    sources: tuple[Source, ...]
    rules: Rules

    @property
    def kind(self) -> str:
        """Return what its documents are, for humans: "blank-line-separated blocks"."""
        return ", ".join(dict.fromkeys(source.kind for source in self.sources))

    def hash(self) -> str:
        """Return the hash of all sources' content and how it is read, whatever their names.

        Raises:
            UserError: one cannot be read.
        """
        digest = blake2b(
            f"{self.rules.field} {self.rules.encoding_errors}".encode(), digest_size=16
        )
        for source in self.sources:
            digest.update(f"\n{source.kind} {source.hash()}".encode())
        return digest.hexdigest()

    def texts(self) -> Iterator[str]:
        """Yield all documents, streamed.

        Raises:
            UserError: a source cannot be read, or there is not one document in all.
        """
        empty = True
        for source in self.sources:
            for text in source.texts():
                empty = False
                yield text
        if empty:
            raise UserError(
                f"'{self.name}' is empty: it holds no text but white space; "
                "give a file with text in it"
            )


def open_corpus(*names: str, data: DataConfig, cache: Path) -> Corpus:
    """Find the sources called `names`; `-` and `python-docs` are kept in the folder `cache`.

    Raises:
        UserError: there is no such source, or it is of a type or a document unit that it cannot be.
    """
    found: list[Path | Source] = []
    for name in names:
        try:
            found += _find(name, data=data, cache=cache)
        except OSError as error:
            raise unreadable(error, name) from error
    if not found:
        raise UserError("no source of text is given: name a file, a folder or python-docs")
    num_text = sum(isinstance(item, Path) and suffix_of(item) in TEXT for item in found)
    unit: Literal["file", "block"] = "file" if num_text > 1 else "block"
    sources = tuple(_source(item, unit, data) if isinstance(item, Path) else item for item in found)
    return Corpus(name=", ".join(names), sources=sources, rules=data.rules)


def split_of(text: str, shares: tuple[float, float, float]) -> SplitName:
    """Return the split that a document falls into, by its text alone and in these shares."""
    digest = blake2b(text.encode(), digest_size=8, person=b"split").digest()
    point = int.from_bytes(digest, "little") / 2**64
    if point < shares[0]:
        return "train"
    return "validation" if point < shares[0] + shares[1] or shares[2] == 0 else "test"


def _find(name: str, *, data: DataConfig, cache: Path) -> Sequence[Path | Source]:
    if name == python_docs.NAME:
        return [PythonDocs(cache=cache)]
    if name.startswith(HuggingFace.PREFIX):
        return [HuggingFace(name=name, rules=data.rules)]
    if streams.is_stream(name):
        return [_spool(name, data=data, cache=cache)]
    path = user_path(name)
    if path.is_dir():
        return _folder(path)
    files = look_up(name).files
    if not files:
        close = nearest(path, python_docs.NAME)
        hint = f"did you mean '{close}'?" if close else "a dataset of the hub is written hf:NAME"
        raise UserError(f"there is no file, folder or match for '{name}': {hint}")
    return files


def not_read(data: DataConfig) -> Iterator[str]:
    """Yield a sentence for each folder or pattern of the sources with files that are not read."""
    for name in dict.fromkeys([*data.names, *filter(None, (data.validation, data.test))]):
        try:
            found = look_into(user_path(name)) if user_path(name).is_dir() else look_up(name)
        except (OSError, UserError):  # which `open_corpus` reports
            continue
        if found.files and found.left_out:
            yield f"'{name}': {found.summary}"


def _source(path: Path, unit: Literal["file", "block"], data: DataConfig) -> Source:
    """Return a file as a source; `unit` is a document of text where `data` does not say."""
    name, suffix = str(path), suffix_of(path)
    if suffix in TEXT:
        if data.document == "record":
            raise UserError(
                f"'{name}' is plain text and has no records: "
                "choose data.document = file, block or line"
            )
        chosen = unit if data.document == "auto" else data.document
        return TextFile(path=path, name=name, unit=chosen, rules=data.rules)
    if suffix not in READ or (suffix in PARQUET and path.suffix.lower() not in PARQUET):
        known = ", ".join(filter(None, READ))
        raise UserError(
            f"'{name}' is of a type that is not read, '{path.suffix}': known are {known}, the "
            f"text ones also with {', '.join(COMPRESSED)}; rename it, convert it, or pipe it to "
            "standard input"
        )
    if data.document not in ("auto", "record"):
        raise UserError(
            f"'{name}' holds records, not a {data.document} each: "
            "choose data.document = record or auto"
        )
    return (JsonLines if suffix in JSON_LINES else Parquet)(path=path, name=name, rules=data.rules)


def _spool(name: str, *, data: DataConfig, cache: Path) -> Source:
    """Keep a stream that can be read only once in a file, as long as this process lives."""
    path = streams.kept(name, cache=cache)
    shown = "standard input" if name == streams.STANDARD_INPUT else name
    if data.document == "record":
        return JsonLines(path=path, name=shown, rules=data.rules)
    unit = "block" if data.document == "auto" else data.document
    return TextFile(path=path, name=shown, unit=unit, rules=data.rules)


def _folder(path: Path) -> list[Path]:
    found = look_into(path)
    if not found.files:
        others = found.summary if found.left_out else "it has no file at all"
        raise UserError(
            f"the folder '{path}' holds no text: {others}; give one with .txt, .jsonl or .parquet"
        )
    return found.files
