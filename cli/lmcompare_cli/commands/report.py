"""`lmcompare report`: a study as one page for a browser."""

from pathlib import Path
from typing import Annotated

import typer

from lmcompare_cli import options
from lmcompare_cli.console import say, write


def report(
    places: options.Places = None,
    out: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="The file to write.",
            show_default="report.html in the (first) study",
        ),
    ] = None,
    unfinished: options.Unfinished = False,
) -> None:
    """Write a study as one page of HTML, to be shown to others; its path is printed.

    The page holds all tables and pictures, samples, and how to do the study again. It needs no
    other file, no script and no network.

    lmcompare report experiments/first
    """
    from lmcompare import api
    from lmcompare.report import write_report

    runs = api.load(*places or (), warn=say)
    comparison = api.compare(runs, unfinished=unfinished)
    path = out or runs[0].path.parent / "report.html"
    write_report(comparison, path)
    write(str(path))
