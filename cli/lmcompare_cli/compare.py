"""`lmcompare compare`: finished runs side by side, with what was and was not held equal."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lmcompare.errors import UserError
from lmcompare_cli.console import output, paragraph, say, talk, write
from lmcompare_cli.options import EXPERIMENTS
from lmcompare_cli.places import find_places
from lmcompare_cli.tables import Column, Part, names, print_parts, print_table

if TYPE_CHECKING:
    from lmcompare.compare import BenchmarkTable, Comparison, GenerationTable, HiddenTable, Section


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
            readable=False,
            metavar="RUN|STUDY",
            help="Runs, studies, or folders of studies.",
            show_default="experiments",
        ),
    ] = None,
    layout: Annotated[
        Format,
        typer.Option(
            "--format", help="A table to read, or data; csv has one row a run and metric."
        ),
    ] = Format.table,
    name: Annotated[str, typer.Option(help="The name of the written files.")] = "compare",
    out: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="The folder to write to.",
            show_default="tables/ in the (first) study",
        ),
    ] = None,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Show unfinished runs too; they are marked and not ranked."
        ),
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="ARM",
            help="Benchmarks: the arm that the others are compared with.",
            show_default="the first",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Take in these results alone: likelihood, infilling, generation or benchmark, a "
            "benchmark or group, a text's name or hash, a scoring, a method, an id from `lmcompare "
            "results`, a setting such as window=128. Words joined by commas must all hold; repeat "
            "the option for more.",
            show_default="all",
        ),
    ] = None,
    latest: Annotated[
        bool,
        typer.Option(
            "--latest",
            help="Of results of one run that answer the same question under other settings "
            "(--limit, --window, --texts, --examples, ...) take in the one measured last: of each "
            "text and scoring, form of infilling, method of writing, benchmark and way.",
        ),
    ] = False,
    no_write: Annotated[
        bool, typer.Option("--no-write", help="Print only; write no files.")
    ] = False,
) -> None:
    """Compare finished runs: what each objective bought, at what cost, and what was held equal.

    The tables are also written to the study's folder as csv, md, tex and json, with pictures of
    generated texts that were judged (lmcompare eval --tasks generation --judge RUN).

    lmcompare compare experiments/first
    """
    if not name or name.startswith(".") or Path(name).name != name:
        raise UserError(
            f"'{name}' is not the name of a file: give a plain one to --name, and a folder to --out"
        )

    from lmcompare.compare import FORMATS, write_tables
    from lmcompare.compare import compare as compare_runs
    from lmcompare.finding import find_runs

    runs = find_runs(find_places(places) if places else [EXPERIMENTS], warn=say)
    comparison = compare_runs(
        runs, unfinished=unfinished, reference=reference, only=only, latest=latest
    )
    if layout is Format.table:
        _print(comparison)
    else:
        write(FORMATS[layout.value](comparison))
    if layout is Format.csv:  # the one format that cannot hold them
        _print_summary(comparison, talk)
        for note in comparison.notes:
            paragraph(note, console=talk)
    if not no_write:
        folder = out or runs[0].path.parent / "tables"
        paths = write_tables(comparison, folder, name=name)
        several = comparison.frame["study"].nunique() > 1 and out is None
        why = ", the first of several studies; --out chooses another place" if several else ""
        say(f"written to {folder / name}.{{{','.join(FORMATS)}}}{why}")
        for picture in paths[len(FORMATS) :]:
            say(f"drawn in {picture}")


def _print(comparison: "Comparison") -> None:
    from lmcompare.compare import benchmarks, footnotes

    _print_summary(comparison, output)
    output.print()
    _print_sections(comparison.sections)
    for table in comparison.hidden:
        _print_hidden(table)
    for written in comparison.generated:
        _print_generated(written)
    for measured in comparison.benchmarks:
        _print_benchmarks(measured)
    if comparison.benchmarks:
        _print_notes(benchmarks.MARKS)
        output.print()
    _print_notes([*footnotes(comparison.sections), *comparison.notes])


def _print_summary(comparison: "Comparison", console: Console) -> None:
    for heading, text in comparison.summary:
        style = "bold red" if heading.startswith("Not") else "bold"
        paragraph((f"{heading}: ", style), text, console=console)


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        paragraph((f"- {note}", "dim"))


def _print_sections(sections: "Sequence[Section]") -> None:
    from lmcompare.compare import COLUMNS, cells

    columns = [
        Column("\n".join(column.heading).strip(), "number", right=column.align == "right")
        for column in COLUMNS
    ]
    columns[0] = Column("arm", "name")
    parts, title = [], ""
    for section in sections:
        titles = [] if section.title == title else [(section.title, "bold")]
        title = section.title
        if section.subtitle:
            titles.append((section.subtitle, "italic"))
        rows = [cells(row) for row in section.rows]
        parts.append(
            Part(rows=rows, titles=titles, bold=[row.mark == "best" for row in section.rows])
        )
    print_parts(columns, parts)
    output.print()


def _print_hidden(table: "HiddenTable") -> None:
    from lmcompare.compare.hidden import HEADINGS, MARKS

    paragraph((table.title, "bold"))
    paragraph((table.subtitle, "italic"))
    _print_grid([*HEADINGS[:2], *(f" {hidden}" for hidden in HEADINGS[2:])], table.cells)
    _print_notes((*MARKS, *table.notes))
    output.print()


def _print_generated(table: "GenerationTable") -> None:
    """What was written, and below it what it took: side by side no terminal has room for them."""
    from lmcompare.compare.generated import HEADINGS, MARKS, NUM_COSTS, NUM_WORDS, TITLE

    paragraph((TITLE, "bold"))
    paragraph((table.subtitle, "italic"))
    *ways, _ = named = [
        [" ".join(filter(None, row[:NUM_WORDS])), *row[NUM_WORDS:]] for row in table.cells
    ]
    _print_grid(["arm", *HEADINGS[NUM_WORDS:-NUM_COSTS]], [row[:-NUM_COSTS] for row in named])
    output.print()
    _print_grid(["arm", *HEADINGS[-NUM_COSTS:]], [[row[0], *row[-NUM_COSTS:]] for row in ways])
    _print_notes((*MARKS, *table.notes))
    output.print()


def _print_benchmarks(table: "BenchmarkTable") -> None:
    from lmcompare.compare.benchmarks import HEADINGS

    paragraph((table.title, "bold"))
    for block in table.blocks:
        paragraph((block.subtitle, "italic"))
        columns = [Column(each, "words" if each == "flags" else "number") for each in HEADINGS]
        print_table([*names(HEADINGS[0]), *columns[1:]], block.cells)
        for smaller in block.smaller:
            output.print()
            _print_grid(*smaller)
        _print_notes(block.notes)
        output.print()
    _print_notes(table.notes)
    output.print()


def _print_grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column names its rows."""
    first, *others = headings
    print_table([*names(first), *(Column(each, "number") for each in others)], rows)
