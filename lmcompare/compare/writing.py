"""A comparison as a file: the tidy frame as CSV, the table as Markdown and LaTeX, both as JSON."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import starmap
from pathlib import Path
from typing import Any

from tabulate import tabulate

from lmcompare import files
from lmcompare.compare import benchmarks, generated, hidden
from lmcompare.compare.benchmarks import BenchmarkTable
from lmcompare.compare.comparison import Comparison
from lmcompare.compare.curves import Curves, draw
from lmcompare.compare.frontier import can_draw, frontier
from lmcompare.compare.generated import GenerationTable
from lmcompare.compare.hidden import HiddenTable
from lmcompare.compare.table import COLUMNS, Section, cells, footnotes

SCHEMA = 1  # of the JSON

_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # would be an argument of the line break before it
    "±": r"$\pm$",
    "—": "---",
    "≤": r"$\leq$",
}


def headings() -> list[str]:
    """The headings of the table, each on one line."""
    return [" ".join(column.heading).replace("/ ", "/").strip() for column in COLUMNS]


def to_csv(comparison: Comparison) -> str:
    """The tidy frame; what is not known is empty."""
    return str(comparison.frame.to_csv(index=False, lineterminator="\n"))


def to_json(comparison: Comparison) -> str:
    """Everything, for a machine; what is not known is null."""
    document = {
        "schema_version": SCHEMA,
        "facts": [asdict(fact) for fact in comparison.facts],
        "consequences": [asdict(fact) for fact in comparison.consequences],
        "sections": [_section(section) for section in comparison.sections],
        "hidden": [asdict(table) for table in comparison.hidden],
        "generated": [_generated(table) for table in comparison.generated],
        "benchmarks": [_benchmarks(table) for table in comparison.benchmarks],
        "curves": [_curves(curves) for curves in comparison.curves],
        "notes": list(comparison.notes),
        "measurements": json.loads(comparison.frame.to_json(orient="records", double_precision=15)),
    }
    return json.dumps(_finite(document), indent=2, allow_nan=False) + "\n"


def _section(section: Section) -> dict[str, Any]:
    scored = None if section.scored is None else section.scored._asdict()
    return {"scored": scored, "rows": [asdict(row) for row in section.rows]}


def _generated(table: GenerationTable) -> dict[str, Any]:
    judge = None if table.judge is None else table.judge.model_dump()
    return asdict(table) | {"judge": judge}


def _benchmarks(table: BenchmarkTable) -> dict[str, Any]:
    document = asdict(table)
    for block, shown in zip(document["blocks"], table.blocks, strict=True):
        for row, each in zip(block["rows"], shown.rows, strict=True):
            row["verdict"] = each.verdict
    return document


def _curves(curves: Curves) -> dict[str, Any]:
    document = asdict(curves)
    for line, shown in zip(document["lines"], curves.lines, strict=True):
        for point, each in zip(line["points"], shown.points, strict=True):
            point["spent"] = each.spent.model_dump()
    return document


def _finite(value: Any) -> Any:
    """The same with None for what is no number."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_markdown(comparison: Comparison) -> str:
    """The tables and what must be read with them, in GitHub's Markdown."""
    parts = [f"**{heading}:** {_plain(text)}" for heading, text in comparison.summary]
    for section in comparison.sections:
        title = f"### {section.title}"
        shown = tabulate(
            [[_plain(cell.strip()) for cell in cells(row)] for row in section.rows],
            headers=headings(),
            tablefmt="pipe",
            colalign=[column.align for column in COLUMNS],
            disable_numparse=True,
        )
        parts += [title, *([section.subtitle] if section.subtitle else []), shown]
    for table in comparison.hidden:
        parts += _further_markdown(table.title, hidden.HEADINGS, hidden.MARKS, table)
    for written in comparison.generated:
        parts += _further_markdown(generated.TITLE, generated.HEADINGS, generated.MARKS, written)
    for measured in comparison.benchmarks:
        parts += _benchmarks_markdown(measured)
    parts += map(_plain, benchmarks.MARKS if comparison.benchmarks else ())
    notes = [f"- {_plain(note)}" for note in [*footnotes(comparison.sections), *comparison.notes]]
    return "\n\n".join([*parts, "\n".join(notes)]) + "\n"


def _further_markdown(
    title: str, head: Sequence[str], marks: Sequence[str], table: HiddenTable | GenerationTable
) -> list[str]:
    notes = [_plain(note) for note in (*marks, *table.notes)]
    return [f"### {title}", _plain(table.subtitle), _markdown(head, table.cells), *notes]


def _benchmarks_markdown(table: BenchmarkTable) -> list[str]:
    parts = [f"### {table.title}"]
    for block in table.blocks:
        parts += [_plain(block.subtitle), _markdown(benchmarks.HEADINGS, block.cells)]
        parts += starmap(_markdown, block.smaller)
        parts += map(_plain, block.notes)
    return [*parts, *map(_plain, table.notes)]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(
        [[_plain(cell.strip()) for cell in row] for row in rows],
        headers=[_plain(each) for each in head],
        tablefmt="pipe",
        colalign=["left"] * len(head),
        disable_numparse=True,
    )


def _plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    for character in "\\|*_<`":
        text = text.replace(character, f"\\{character}")
    return text


def escape_tex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_TEX.get(character, character) for character in text)


def to_tex(comparison: Comparison) -> str:
    """The tables as a LaTeX float; it needs the packages booktabs and graphicx."""
    num = len(COLUMNS)
    lines = []
    for section in comparison.sections:
        title = escape_tex(f"{section.title}. {section.subtitle}".strip())
        lines += [r"\midrule", rf"\multicolumn{{{num}}}{{l}}{{\textit{{{title}}}}} \\"]
        lines += map(_tex_row, map(cells, section.rows))
    above = [
        rf"\textbf{{{escape_tex(heading)}:}} {escape_tex(text)}"
        for heading, text in comparison.summary
    ]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            r"\footnotesize",
            *(rf"{line}\par" for line in above),
            *_tabular("".join(column.align[0] for column in COLUMNS), headings(), lines),
            *(
                line
                for table in comparison.hidden
                for line in _further_tex(table.title, hidden.HEADINGS, hidden.MARKS, table)
            ),
            *(
                line
                for written in comparison.generated
                for line in _further_tex(
                    generated.TITLE, generated.HEADINGS, generated.MARKS, written
                )
            ),
            *(line for measured in comparison.benchmarks for line in _benchmarks_tex(measured)),
            *_paragraphs(benchmarks.MARKS if comparison.benchmarks else ()),
            r"\par\medskip",
            *_paragraphs([*footnotes(comparison.sections), *comparison.notes]),
            r"\end{table}",
            "",
        ]
    )


def _further_tex(
    title: str, head: Sequence[str], marks: Sequence[str], table: HiddenTable | GenerationTable
) -> list[str]:
    *rows, anchor = map(_tex_row, table.cells)
    return [
        r"\par\medskip",
        rf"\textit{{{escape_tex(f'{title}. {table.subtitle}')}}}\par",
        *_tabular("l" * len(head), head, [r"\midrule", *rows, r"\midrule", anchor]),
        r"\par\medskip",
        *_paragraphs([*marks, *table.notes]),
    ]


def _benchmarks_tex(table: BenchmarkTable) -> list[str]:
    lines = [r"\par\medskip", rf"\textit{{{escape_tex(table.title)}}}\par"]
    for block in table.blocks:
        *rows, chance = map(_tex_row, block.cells)
        head = benchmarks.HEADINGS
        lines += [
            rf"\textit{{{escape_tex(block.subtitle)}}}\par",
            *_tabular("l" * len(head), head, [r"\midrule", *rows, r"\midrule", chance]),
            r"\par",
        ]
        for smaller in block.smaller:
            below = [r"\midrule", *map(_tex_row, smaller.cells)]
            lines += _tabular("l" * len(smaller.headings), smaller.headings, below)
        lines += [r"\par\medskip", *_paragraphs(block.notes)]
    return [*lines, *_paragraphs(table.notes)]


def _tabular(columns: str, head: Sequence[str], lines: Sequence[str]) -> list[str]:
    return [
        r"\medskip",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _tex_row(head),
        *lines,
        r"\bottomrule",
        r"\end{tabular}}",
    ]


def _tex_row(row: Sequence[str]) -> str:
    return " & ".join(escape_tex(cell.strip()) for cell in row) + r" \\"


def _paragraphs(notes: Sequence[str]) -> list[str]:
    return [rf"{escape_tex(note)}\par" for note in notes]


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "csv": to_csv,
    "md": to_markdown,
    "tex": to_tex,
    "json": to_json,
}


def write_tables(comparison: Comparison, folder: Path, *, name: str) -> Sequence[Path]:
    """Write `folder/name.{csv,md,tex,json}`, each whole or not at all, and the pictures.

    If matplotlib is here there is a picture, `folder/name-generation.svg`, of each table of what
    was written that has a judge, and one, `folder/name-curves-TASK.svg`, of each benchmark that
    was asked at several checkpoints.

    Raises:
        UserError: the disk is full or the folder is not writable.
    """
    paths = []
    for suffix, write in FORMATS.items():
        paths.append(folder / f"{name}.{suffix}")
        files.write_text(paths[-1], write(comparison))
    judged = [table for table in comparison.generated if table.judge is not None]
    for number, table in enumerate(judged if can_draw() else (), start=1):
        if (picture := frontier(table)) is not None:
            paths.append(folder / f"{name}-generation{number if number > 1 else ''}.svg")
            files.write_bytes(paths[-1], picture)
    for curves in comparison.curves if can_draw() else ():
        paths.append(folder / f"{name}-curves-{files.name_of(curves.name)}.svg")
        files.write_bytes(paths[-1], draw(curves))
    return paths
