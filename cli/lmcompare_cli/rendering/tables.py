"""Tables on stdout, which lose neither a column nor a digit on any terminal.

Piped, a table is as wide as it is. On a terminal that is too narrow for it, columns of words and
the names of rows are folded between words first. If that is not enough, the table is printed in
several, each of which repeats the names of its rows; and where not even one column fits beside
the names, each row is printed as a list of its columns. Words and numbers are never broken while
a line has room for one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.text import Text as Line

from lmcompare.blocks import Column, Part
from lmcompare.blocks.visible import visible
from lmcompare_cli.console import output, paragraph, printable

ANY_WIDTH = 10_000  # columns
GAP = 2  # columns of the terminal between two of the table; one where that makes it fit
NARROWEST = 20  # columns that what is folded keeps


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under the headings of their columns."""
    print_parts(columns, [Part(rows=[*rows])])


def print_parts(columns: Sequence[Column], parts: Sequence[Part], *, said: str = "") -> None:
    """Print a table of several parts, which share their columns.

    Args:
        columns: the columns.
        parts: the parts; above each stand its title, if it is another than before, and subtitle.
        said: the title that stood last above a table.
    """
    shown = [*_printable(parts, said)]
    if len(shown) == 1:  # its titles stand above the headings, once
        for title in shown[0].titles:
            paragraph(title)
        shown = [replace(shown[0], titles=())]
    table = _Table(columns, shown)
    pieces = table.pieces(output.width if output.is_terminal else ANY_WIDTH)
    if pieces is None:
        table.print_rows_as_lists()
    for number, (chosen, widths, gap) in enumerate(pieces or ()):
        if number:
            output.print()
        table.print_side_by_side(chosen, widths, gap)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part in characters that stdout has, with what is printed above it and the style of each."""

    rows: Sequence[Sequence[str]]
    titles: Sequence[tuple[str, str]]
    bold: Sequence[bool]


def _printable(parts: Iterable[Part], said: str) -> Iterator[_Part]:
    for part in parts:
        titles = [] if part.title in ("", said) else [(part.title, "bold")]
        said = part.title or said
        if part.subtitle:
            titles.append((part.subtitle, "italic"))
        rows = [[_shown(cell) for cell in row] for row in part.rows]
        yield _Part(rows=rows, titles=titles, bold=part.bold or [False] * len(rows))


def _shown(cell: str) -> str:
    return printable(visible(cell, keep=""), output)


class _Table:
    def __init__(self, columns: Sequence[Column], parts: Sequence[_Part]) -> None:
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
        heads = [column.in_one_line for column in self._columns]
        margin = max(map(cell_len, heads)) + 1
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
                    self._print_item(head.ljust(margin), cell.strip(), "bold" if bold else "")

    @staticmethod
    def _print_item(head: str, cell: str, style: str) -> None:
        """Print a column of a row, indented but where a word would be broken by that."""
        room = output.width - len(head)
        if room < max(map(cell_len, cell.split()), default=0) <= output.width:
            paragraph((f"{head.strip()} ", "dim"), (cell, style))
            return
        lines = Line(cell).wrap(output, max(1, room), overflow="fold")
        for number, line in enumerate(lines or [Line("")]):
            start = head if number == 0 else " " * len(head)
            text = Line.assemble((start, "dim"), (line.plain, style))
            text.rstrip()
            output.print(text, soft_wrap=True)
