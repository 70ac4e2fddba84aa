"""Tables on stdout, which lose neither a column nor a digit on any terminal.

Piped, a table is as wide as it is. On a terminal that is too narrow for it, columns of words and
the names of rows are folded between words first. If that is not enough, the table is printed in
several, each of which repeats the names of its rows; and where not even one column fits beside
the names, each row is printed as a list of its columns. Words and numbers are never broken while
a line has room for one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.text import Text as Line

from lmcompare_cli.console import output, paragraph, printable, visible

ANY_WIDTH = 10_000  # columns
GAP = 2  # columns of the terminal between two of the table; one where that makes it fit
NARROWEST = 20  # columns that what is folded keeps


@dataclass(frozen=True)
class Column:
    """A column: its heading, of one or more lines, and what stands in it.

    Names say which row it is, and are repeated wherever the table is parted. Numbers are whole.
    """

    heading: str
    kind: Literal["name", "words", "number"]
    right: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of a table that stand together, under lines of their own."""

    rows: Sequence[Sequence[str]]
    titles: Sequence[tuple[str, str]] = ()  # each with its style
    bold: Sequence[bool] = ()  # of each row; none by default


def names(*headings: str) -> list[Column]:
    """Return columns that say which row it is."""
    return [Column(heading, "name") for heading in headings]


def words(*headings: str) -> list[Column]:
    """Return columns that may be folded."""
    return [Column(heading, "words") for heading in headings]


def numbers(*headings: str) -> list[Column]:
    """Return columns of numbers."""
    return [Column(heading, "number", right=True) for heading in headings]


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under the headings of their columns."""
    print_parts(columns, [Part(rows=[*rows])])


def print_parts(columns: Sequence[Column], parts: Sequence[Part]) -> None:
    """Print a table of several parts, which share their columns."""
    parts = [
        Part(
            rows=[[_shown(cell) for cell in row] for row in part.rows],
            titles=part.titles,
            bold=part.bold or [False] * len(part.rows),
        )
        for part in parts
    ]
    table = _Table(columns, parts)
    pieces = table.pieces(output.width if output.is_terminal else ANY_WIDTH)
    if pieces is None:
        table.print_rows_as_lists()
    for number, (chosen, widths, gap) in enumerate(pieces or ()):
        if number:
            output.print()
        table.print_side_by_side(chosen, widths, gap)


def _shown(cell: str) -> str:
    return printable(visible(cell, keep=""), output)


class _Table:
    def __init__(self, columns: Sequence[Column], parts: Sequence[Part]) -> None:
        self._columns, self._parts = columns, parts
        rows = [row for part in parts for row in part.rows]
        cells = [[*column.heading.split("\n")] for column in columns]
        for row in rows:
            for found, cell in zip(cells, row, strict=True):
                found.append(cell)
        self._widths = [max(map(cell_len, found)) for found in cells]
        self._least = [
            min(width, max(NARROWEST, *(cell_len(word) for cell in found for word in cell.split())))
            if column.kind != "number" and width > NARROWEST
            else width
            for column, width, found in zip(columns, self._widths, cells, strict=True)
        ]

    def pieces(self, room: int) -> list[tuple[list[int], list[int], int]] | None:
        """Find which columns stand side by side, how wide, and how far apart.

        Returns:
            a table or several; None if some column has no room beside the names.
        """
        everything = [i for i, width in enumerate(self._widths) if width]
        shown = [self._widths[i] for i in everything]
        for gap in (GAP, 1):
            if sum(shown) + gap * (len(shown) - 1) <= room:
                return [(everything, shown, gap)]
        own = [i for i in everything if self._columns[i].kind == "name"]
        found: list[list[int]] = []
        for i in everything:
            if i in own:
                continue
            if found and self._fits([*own, *found[-1], i], room):
                found[-1].append(i)
            elif self._fits([*own, i], room):
                found.append([i])
            else:
                return None
        prose = not any(column.kind == "number" for column in self._columns)
        if not found or (prose and len(found) > 1):
            return None
        chosen = [sorted([*own, *others]) for others in found]
        return [(each, self._folded(each, room), 1) for each in chosen]

    def _fits(self, chosen: Sequence[int], room: int) -> bool:
        return sum(self._least[i] + 1 for i in chosen) - 1 <= room

    def _folded(self, chosen: Sequence[int], room: int) -> list[int]:
        """Share out among the columns of words what room the others leave."""
        spare = room - sum(self._least[i] + 1 for i in chosen) + 1
        widths = {i: self._least[i] for i in chosen}
        hungry = sorted(chosen, key=lambda i: self._widths[i] - self._least[i])
        for num_left, i in zip(range(len(hungry), 0, -1), hungry, strict=True):
            more = min(self._widths[i] - self._least[i], spare // num_left)
            widths[i] += more
            spare -= more
        return [widths[i] for i in chosen]

    def print_side_by_side(self, chosen: list[int], widths: list[int], gap: int) -> None:
        """Print some columns as a table."""
        columns = [self._columns[i] for i in chosen]
        heads = [column.heading.split("\n") for column in columns]
        height = max(map(len, heads))
        for number in range(height):
            line = [[""] * (height - len(head)) + head for head in heads]
            self._print_line([each[number] for each in line], columns, widths, gap, "bold")
        if any(part.titles for part in self._parts):
            rule = "-" if output.options.ascii_only else "─"
            output.print(rule * (sum(widths) + gap * (len(widths) - 1)), soft_wrap=True)
        for number, part in enumerate(self._parts):
            if number:
                output.print()
            for title in part.titles:
                paragraph(title)
            for row, bold in zip(part.rows, part.bold, strict=True):
                cells = [row[i] for i in chosen]
                self._print_line(cells, columns, widths, gap, "bold" if bold else "")

    @staticmethod
    def _print_line(
        cells: list[str], columns: list[Column], widths: list[int], gap: int, style: str
    ) -> None:
        folded = [
            [cell]
            if cell_len(cell) <= width
            else [line.plain.rstrip() for line in Line(cell).wrap(output, width, overflow="fold")]
            for cell, width in zip(cells, widths, strict=True)
        ]
        for number in range(max(map(len, folded))):
            shown = []
            for lines, column, width in zip(folded, columns, widths, strict=True):
                text = lines[number] if number < len(lines) else ""
                room = " " * (width - cell_len(text))
                shown.append(room + text if column.right else text + room)
            output.print(Line((" " * gap).join(shown).rstrip(), style=style), soft_wrap=True)

    def print_rows_as_lists(self) -> None:
        """Print each row as a list of its columns."""
        heads = [column.heading.replace("/\n", "/").replace("\n", " ") for column in self._columns]
        margin = max(map(cell_len, heads)) + 1
        room = max(1, output.width - margin)
        first = True
        for part in self._parts:
            for title in part.titles:
                if not first:
                    output.print()
                paragraph(title)
                first = True
            for row, bold in zip(part.rows, part.bold, strict=True):
                if not first:
                    output.print()
                first = False
                for head, cell in zip(heads, row, strict=True):
                    if not head and not cell:
                        continue
                    lines = Line(cell.strip()).wrap(output, room, overflow="fold")
                    for number, line in enumerate(lines or [Line("")]):
                        start = (head if number == 0 else "").ljust(margin)
                        text = Line.assemble((start, "dim"), (line.plain, "bold" if bold else ""))
                        text.rstrip()
                        output.print(text, soft_wrap=True)
