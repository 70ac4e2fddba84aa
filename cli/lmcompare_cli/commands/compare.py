"""`lmcompare compare`: finished runs side by side, with what was and was not held equal."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from lmcompare.errors import UserError
from lmcompare_cli import options
from lmcompare_cli.console import paragraph, say, talk, write
from lmcompare_cli.rendering.pages import print_page, print_paragraph


class Format(StrEnum):
    """How the comparison is printed."""

    table = "table"
    json = "json"
    csv = "csv"
    md = "md"
    tex = "tex"


Reference = Annotated[
    str | None,
    typer.Option(
        metavar="ARM",
        help="Benchmarks and probes: the arm that the others are compared with.",
        show_default="the first",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHAT",
        help="Take in these results alone: likelihood, infilling, generation, benchmark or probe, "
        "a benchmark, a probing task or a group of these, a text's name or hash, a scoring, a "
        "method, an id from `lmcompare results`, a setting such as window=128 or probe=mlp. "
        "Words joined by commas must all hold; repeat the option for more.",
        show_default="all",
    ),
]
Latest = Annotated[
    bool,
    typer.Option(
        "--latest",
        help="Of results of one run that answer the same question under other settings "
        "(--limit, --window, --texts, --examples, ...) take in the one measured last: of each "
        "text and scoring, form of infilling, method of writing, benchmark and protocol, probing "
        "task.",
    ),
]
TableNames = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        metavar="NAME",
        help="What is printed: summary, likelihood, infilling, generation, speed, benchmark, "
        "curves, probes, similarity, geometry, context, lexical, attention, control (all that was "
        "checked to be equal), or all of the long tables. Repeat the option, or separate names by "
        "commas.",
        show_default="summary; of --format md and tex everything",
    ),
]
Explain = Annotated[
    str | None,
    typer.Option(
        metavar="ROW",
        help="List the files, and how many items, that a row of the summary comes from; print no "
        "table.",
    ),
]


def compare(
    places: options.Places = None,
    layout: Annotated[
        Format,
        typer.Option(
            "--format", help="A table to read, or data; csv has one row a run and metric."
        ),
    ] = Format.table,
    tables: TableNames = None,
    explain: Explain = None,
    at: Annotated[
        Literal["tokens", "targets", "flops", "seconds"] | None,
        typer.Option(
            help="In the summary: tell what arms learn where as much of this was spent.",
            show_default="each in turn",
        ),
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option(
            metavar="NATS",
            help="In the summary: tell what it took until a hidden token costs this many nats.",
            show_default="the worst that a run ended with",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The name of the written files.",
            show_default="compare, or of selected results compare-selected",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="The folder to write to.",
            show_default="tables/ in the (first) study",
        ),
    ] = None,
    unfinished: options.Unfinished = False,
    reference: Reference = None,
    only: Only = None,
    latest: Latest = False,
    no_write: Annotated[
        bool, typer.Option("--no-write", help="Print only; write no files.")
    ] = False,
) -> None:
    """Compare finished runs: what each objective bought, at what cost, and what was held equal.

    It prints the summary, a row an aspect and a column an arm; --table all prints the long tables.
    Whatever is printed, all of it is written to the study's folder as csv, md, tex and json, with
    pictures of generated texts that were judged (lmcompare eval --tasks generation --judge RUN), of
    benchmarks over checkpoints, and of what each layer tells a probe (lmcompare probe).

    lmcompare compare experiments/first
    """
    wanted = [each.strip() for given in tables or [] for each in given.split(",")]
    if wanted and layout in (Format.json, Format.csv):
        raise UserError(
            f"`table=` chooses what is read on a page, and {layout.value} holds everything: leave "
            "it out, or choose another `format=`"
        )
    if name is None:
        name = "compare-selected" if only or latest else "compare"
    if not name or name.startswith(".") or Path(name).name != name:
        raise UserError(
            f"'{name}' is not the name of a file: give a plain one to --name, and a folder to --out"
        )

    from lmcompare import api
    from lmcompare.comparison import (
        FORMATS,
        PAGES,
        SUMMARY,
        document,
        require_tables,
        write_tables,
    )

    require_tables(wanted)
    runs = api.load(*places or (), warn=say)
    comparison = api.compare(
        runs,
        unfinished=unfinished,
        reference=reference,
        only=only,
        latest=latest,
        at=at,
        quality=quality,
    )
    if explain is not None:
        print_page(comparison.summary.explained(explain))
        return
    if layout is Format.table:
        print_page(document(comparison, wanted or [SUMMARY]))
    elif wanted:
        write(PAGES[layout.value](comparison, wanted))
    else:
        write(FORMATS[layout.value](comparison))
    if layout is Format.csv:  # the one format that cannot hold them
        for about in comparison.preface:
            print_paragraph(about, talk)
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
