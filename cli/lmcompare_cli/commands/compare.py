"""`lmcompare compare`: finished runs side by side, with what was and was not held equal."""

from pathlib import Path
from typing import TYPE_CHECKING

from lmcompare.errors import UserError
from lmcompare_cli import compare_options as asked
from lmcompare_cli import options
from lmcompare_cli.compare_options import Format
from lmcompare_cli.console import paragraph, say, talk, write
from lmcompare_cli.rendering.pages import print_page, print_paragraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmcompare.comparison import Comparison


def compare(
    places: options.Places = None,
    layout: asked.Layout = Format.table,
    tables: asked.TableNames = None,
    explain: asked.Explain = None,
    at: asked.At = None,
    quality: asked.Quality = None,
    name: asked.Name = None,
    out: asked.Folder = None,
    unfinished: options.Unfinished = False,
    reference: asked.Reference = None,
    only: asked.Only = None,
    latest: asked.Latest = False,
    judge_all: asked.JudgeAll = False,
    no_write: asked.NoWrite = False,
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
    from lmcompare.comparison import require_tables

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
        judge_all=judge_all,
    )
    if explain is not None:
        print_page(comparison.summary.explained(explain))
        return
    _print(comparison, layout, wanted)
    if not no_write:
        _write(comparison, out, first=runs[0].path.parent, name=name)


def _print(comparison: "Comparison", layout: Format, wanted: "Sequence[str]") -> None:
    from lmcompare.comparison import FORMATS, PAGES, SUMMARY, document

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


def _write(comparison: "Comparison", out: Path | None, *, first: Path, name: str) -> None:
    """Write all formats and pictures, by default to the first study."""
    from lmcompare.comparison import FORMATS, write_tables

    folder = out or first / "tables"
    paths = write_tables(comparison, folder, name=name)
    several = comparison.frame["study"].nunique() > 1 and out is None
    why = ", the first of several studies; --out chooses another place" if several else ""
    say(f"written to {folder / name}.{{{','.join(FORMATS)}}}{why}")
    for picture in paths[len(FORMATS) :]:
        say(f"drawn in {picture}")
