"""`lmcompare compare`: finished runs side by side, with what was and was not held equal."""

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.segment import Segments
from rich.table import Column, Table
from rich.text import Text

from lmcompare.errors import UserError
from lmcompare_cli.console import output, printable, talk

if TYPE_CHECKING:
    from lmcompare.compare import BenchmarkTable, Comparison, GenerationTable, HiddenTable

NARROWEST_ARM = 12  # columns that a label keeps, whatever the terminal


class Format(StrEnum):
    """How the comparison is printed."""

    table = "table"
    json = "json"
    csv = "csv"
    md = "md"
    tex = "tex"


def compare(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN|STUDY",
            help="Runs, studies or folders of studies.",
            show_default="experiments",
        ),
    ] = None,
    layout: Annotated[
        Format, typer.Option("--format", help="For reading, or as data: csv is the tidy frame.")
    ] = Format.table,
    name: Annotated[str, typer.Option(help="What the written files are called.")] = "compare",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to.", show_default="tables/ in the (first) study"),
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Show unfinished runs too, marked and not ranked.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="ARM",
            help="Benchmarks: the arm that the others stand beside.",
            show_default="the first",
        ),
    ] = None,
    no_write: Annotated[bool, typer.Option("--no-write", help="Print only.")] = False,
) -> None:
    """Compare finished runs: what each objective bought, at what cost, and what was held equal.

    The tables are written beside the runs as csv, md, tex and json, and what was written and
    judged (lmcompare eval --tasks generation) is drawn too.

    lmcompare compare experiments/first
    """
    if not name or name.startswith(".") or Path(name).name != name:
        raise UserError(
            f"'{name}' is no name for a file: give a plain one to --name, a folder to --out"
        )

    from lmcompare.compare import FORMATS, write_tables
    from lmcompare.compare import compare as compare_runs
    from lmcompare.runs import find_runs

    runs = find_runs(places or [Path("experiments")], warn=talk.print)
    comparison = compare_runs(runs, unfinished=unfinished, reference=reference)
    if layout is Format.table:
        _print(comparison, output)
    else:
        text = FORMATS[layout.value](comparison)
        output.out(printable(text, output), end="", highlight=False)
    if layout is Format.csv:  # the one format that cannot hold them
        for heading, text in comparison.summary:
            _say(talk, (f"{heading}: {text}", ""))
        for note in comparison.notes:
            _say(talk, (note, ""))
    if not no_write:
        folder = out or runs[0].path.parent / "tables"
        paths = write_tables(comparison, folder, name=name)
        several = comparison.frame["study"].nunique() > 1 and out is None
        why = ", the first of several studies; --out chooses another place" if several else ""
        talk.print(f"written to {folder / name}.{{{','.join(FORMATS)}}}{why}", soft_wrap=True)
        for picture in paths[len(FORMATS) :]:
            talk.print(f"drawn in {picture}", soft_wrap=True)


def _print(comparison: "Comparison", console: Console) -> None:
    from lmcompare.compare import benchmarks, cells, footnotes

    rows = [
        [[printable(cell, console) for cell in cells(row)] for row in section.rows]
        for section in comparison.sections
    ]
    columns = _columns([row for part in rows for row in part], console)
    for heading, text in comparison.summary:
        style = "bold red" if heading.startswith("NOT") else "bold"
        _say(console, (f"{heading}: ", style), (text, ""))
    console.print()
    _print_rows(console, columns, [], show_header=True)
    title = ""
    for section, part in zip(comparison.sections, rows, strict=True):
        if section.title != title:
            title = section.title
            _say(console, (title, "bold"))
        if section.subtitle:
            _say(console, (section.subtitle, "italic"))
        _print_rows(console, columns, part, show_header=False)
        console.print()
    for table in comparison.hidden:
        _print_hidden(table, console)
    for written in comparison.generated:
        _print_generated(written, console)
    for measured in comparison.benchmarks:
        _print_benchmarks(measured, console)
    if comparison.benchmarks:
        for mark in benchmarks.MARKS:
            _say(console, (f"- {mark}", "dim"))
        console.print()
    for note in [*footnotes(comparison.sections), *comparison.notes]:
        _say(console, (f"- {note}", "dim"))


def _print_hidden(table: "HiddenTable", console: Console) -> None:
    from lmcompare.compare.hidden import HEADINGS, MARKS

    _say(console, (table.title, "bold"))
    _say(console, (table.subtitle, "italic"))
    heads = [*HEADINGS[:2], *(f" {hidden}" for hidden in HEADINGS[2:])]
    _print_grid(heads, table.cells, console)
    for note in (*MARKS, *table.notes):
        _say(console, (f"- {note}", "dim"))
    console.print()


def _print_generated(table: "GenerationTable", console: Console) -> None:
    """What was written, and below it what it took: side by side no terminal has room for them."""
    from lmcompare.compare.generated import HEADINGS, MARKS, NUM_COSTS, NUM_WORDS, TITLE

    _say(console, (TITLE, "bold"))
    _say(console, (table.subtitle, "italic"))
    *ways, _ = named = [
        [" ".join(filter(None, row[:NUM_WORDS])), *row[NUM_WORDS:]] for row in table.cells
    ]
    _print_grid(
        ["arm", *HEADINGS[NUM_WORDS:-NUM_COSTS]], [row[:-NUM_COSTS] for row in named], console
    )
    console.print()
    _print_grid(
        ["arm", *HEADINGS[-NUM_COSTS:]],
        [[row[0], *row[-NUM_COSTS:]] for row in ways],
        console,
    )
    for note in (*MARKS, *table.notes):
        _say(console, (f"- {note}", "dim"))
    console.print()


def _print_benchmarks(table: "BenchmarkTable", console: Console) -> None:
    from lmcompare.compare.benchmarks import HEADINGS

    _say(console, (table.title, "bold"))
    for block in table.blocks:
        _say(console, (block.subtitle, "italic"))
        _print_grid([*HEADINGS], block.cells, console)
        for smaller in block.smaller:
            for heads, cells in _side_by_side(*smaller, console):
                console.print()
                _print_grid(heads, cells, console)
        for note in block.notes:
            _say(console, (f"- {note}", "dim"))
        console.print()
    for note in table.notes:
        _say(console, (f"- {note}", "dim"))
    console.print()


def _side_by_side(
    heads: list[str], cells: list[list[str]], console: Console
) -> Iterator[tuple[list[str], list[list[str]]]]:
    """A table in as many pieces as the terminal needs, each with the first column."""
    widths = [
        1 + max(map(len, (head, *column))) for head, *column in zip(heads, *cells, strict=True)
    ]
    room = console.width if console.is_terminal else sum(widths)
    start = 1
    while start < len(heads):
        stop = start + 1
        while stop < len(heads) and widths[0] + sum(widths[start : stop + 1]) <= room:
            stop += 1
        yield [heads[0], *heads[start:stop]], [[row[0], *row[start:stop]] for row in cells]
        start = stop


def _print_grid(heads: list[str], cells: list[list[str]], console: Console) -> None:
    rows = [[printable(cell, console) for cell in row] for row in cells]
    columns = [
        Column(header=head, width=max(map(len, (head, *column))))
        for head, *column in zip(heads, *rows, strict=True)
    ]
    _print_rows(console, _fitting(columns, console), rows, show_header=True)


def _say(console: Console, *parts: tuple[str, str]) -> None:
    """Print a paragraph, folded on a terminal and in one line elsewhere."""
    text = Text.assemble(*((printable(part, console), style) for part, style in parts))
    console.print(text, soft_wrap=not console.is_terminal)


def _columns(rows: list[list[str]], console: Console) -> list[Column]:
    """The same columns for every section."""
    from lmcompare.compare import COLUMNS

    columns = [
        Column(
            header="\n".join(column.heading),
            justify=column.align,
            width=max(1, *(len(text) for text in (*column.heading, *(row[i] for row in rows)))),
        )
        for i, column in enumerate(COLUMNS)
    ]
    return _fitting(columns, console)


def _fitting(columns: list[Column], console: Console) -> list[Column]:
    """The columns; the first is folded where the terminal is narrow."""
    if console.is_terminal:
        first, *others = columns
        left = console.width - sum((column.width or 0) + 1 for column in others)
        first.width = max(NARROWEST_ARM, min(first.width or 0, left))
    return columns


def _print_rows(
    console: Console, columns: list[Column], rows: list[list[str]], *, show_header: bool
) -> None:
    table = Table(
        *(replace(column, _cells=[]) for column in columns),
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        show_edge=False,
        show_header=show_header,
    )
    for row in rows:
        table.add_row(*row, style="bold" if "best" in row else None)
    width = sum((column.width or 0) + 1 for column in columns) - 1
    segments = console.render(table, console.options.update(width=width))
    console.print(Segments(segments), soft_wrap=True, end="")
