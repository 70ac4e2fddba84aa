"""Options of `lmcompare compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


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
JudgeAll = Annotated[
    bool,
    typer.Option(
        "--judge-all",
        help="Rank models of Hugging Face and give verdicts on them too, though nothing of their "
        "training is held equal.",
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
Layout = Annotated[
    Format,
    typer.Option(
        "--format", "-f", help="A table to read, or data; csv has one row a run and metric."
    ),
]
At = Annotated[
    Literal["tokens", "targets", "flops", "seconds"] | None,
    typer.Option(
        help="In the summary: tell what arms learn where as much of this was spent.",
        show_default="each in turn",
    ),
]
Quality = Annotated[
    float | None,
    typer.Option(
        metavar="NATS",
        help="In the summary: tell what it took until a hidden token costs this many nats.",
        show_default="the worst that a run ended with",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        help="The name of the written files.",
        show_default="compare, or of selected results compare-selected",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        readable=False,
        help="The folder to write to.",
        show_default="tables/ in the (first) study",
    ),
]
NoWrite = Annotated[bool, typer.Option("--no-write", help="Print only; write no files.")]
