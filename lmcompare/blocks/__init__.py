"""Blocks that a page is made of: each format renders them, and none knows a table by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column: its heading, of one or more lines, and the kind of its cells.

    Names say which row it is, and are repeated wherever a table is parted. Numbers are never
    broken; names and words may be folded between words.
    """

    heading: str
    kind: Literal["name", "words", "number"]
    right: bool = False

    @property
    def in_one_line(self) -> str:
        """Return the heading in one line, without the hyphens of words that were broken."""
        return self.heading.replace("/\n", "/").replace("-\n", "").replace("\n", " ").strip()


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows that belong together, under a title of their own.

    A title that is that of the part before is not repeated where one is under the other.
    """

    rows: Sequence[Sequence[str]]
    title: str = ""
    subtitle: str = ""
    bold: Sequence[bool] = ()  # of each row; none by default
    anchors: int = 0  # of the rows, the last ones, which the others are read against


@dataclass(frozen=True, kw_only=True)
class Table:
    """Parts that share their columns, and how they are to be read."""

    columns: Sequence[Column]
    parts: Sequence[Part]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Paragraph:
    """A text with what it is about."""

    about: str
    text: str
    warns: bool = False


@dataclass(frozen=True)
class Notes:
    """Things to know, an item each."""

    items: Sequence[str]


Block = Table | Paragraph | Notes


def names(*headings: str) -> list[Column]:
    """Return columns that say which row it is."""
    return [Column(heading, "name") for heading in headings]


def words(*headings: str) -> list[Column]:
    """Return columns that may be folded."""
    return [Column(heading, "words") for heading in headings]


def numbers(*headings: str) -> list[Column]:
    """Return columns of numbers, which are aligned to the right."""
    return [Column(heading, "number", right=True) for heading in headings]
