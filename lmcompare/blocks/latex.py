r"""Blocks in LaTeX: a float for each table, or a `longtable` where one page may not hold it.

A file is to be read with \input; it needs the packages array, booktabs and longtable. A table that
is wider than a line of a common page is parted, and each part repeats the names of its rows.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from lmcompare.blocks import Block, Column, Notes, Paragraph, Part, Table
from lmcompare.blocks.visible import visible

_ESCAPES = {
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
    "*": "{*}",  # so too
    '"': r"{\char34}",  # a command of some languages
    "`": r"\textasciigrave{}",
    "\0": "{}",
    "\1": r"\allowbreak{}",
    "±": r"$\pm$",
    "—": "---",
    "\N{EN DASH}": "--",
    "≤": r"$\leq$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "→": r"$\to$",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "…": r"\ldots{}",
}
_LIGATURE = re.compile("(?<=-)-|(?<=')'")  # two that would be printed as one
# A word that could be wider than its column may be broken after each bit of it.
_LONG, _BIT = re.compile(r"\S{25,}"), re.compile(r"\S{5}(?=\S{3})")
# What LaTeX's oldest engine and fonts have; all else is shown by the engines that know Unicode.
_KNOWN = {
    *map(chr, range(0x20, 0x7F)),
    *"ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŒœ§",
}
_PREAMBLE = r"""% Read this with \input, in one column. Needs \usepackage{array,booktabs,longtable}.
% A character that needs an engine for Unicode and a font that has it; else its number.
\providecommand{\lmcomparechar}[2]{\ifdefined\Umathcode#1\else\texttt{U+#2}\fi}
"""

MOST_ROWS = 25  # of a float, all its parts counted
LINE = 84  # characters of \scriptsize in a line of a common page, 345 pt
_BETWEEN = 2  # characters that the room between two columns takes
_WIDE = 30  # characters; a column that may be folded and is wider gets a width of its own


def escape(text: str) -> str:
    """Return LaTeX that prints a text as it is, in one line."""
    apart = _LIGATURE.sub("\0\\g<0>", visible(text, keep=""))
    apart = _LONG.sub(lambda word: _BIT.sub("\\g<0>\1", word[0]), apart)
    return "".join(map(_character, apart))


def _character(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    return c if c in _KNOWN else rf"\lmcomparechar{{{c}}}{{{ord(c):04X}}}"


def render(blocks: Iterable[Block], *, label: str) -> str:
    r"""Return a file to be read with \input.

    Args:
        blocks: what is on it.
        label: what the labels of its tables begin with; they are numbered.
    """
    lines = [_PREAMBLE]
    number = 0
    for block in blocks:
        match block:
            case Paragraph():
                lines.append(rf"\paragraph{{{escape(block.about)}}} {escape(block.text)}\par")
            case Notes():
                lines += _list(block.items)
            case Table():
                for part in block.parts:
                    number += 1
                    last = part is block.parts[-1]
                    name = f"{_label(label)}:{number}"
                    lines += _table(block, part, name, block.notes if last else ())
    return "\n".join([*lines, ""])


def _label(text: str) -> str:
    return "tab:" + "".join(c if c.isascii() and c.isalnum() else "-" for c in text)


def _list(items: Iterable[str]) -> list[str]:
    shown = [rf"\item {escape(item)}" for item in items]
    return [r"{\footnotesize\begin{itemize}", *shown, r"\end{itemize}}"] if shown else []


def _table(table: Table, part: Part, label: str, notes: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a float, or of one `longtable` for each piece."""
    caption = escape(". ".join(filter(None, [part.title, part.subtitle])) or "Further results")
    pieces = _pieces(table.columns, part.rows)
    if len(part.rows) * len(pieces) > MOST_ROWS:
        for number, piece in enumerate(pieces):
            head = rf"\caption{{{caption}}}\label{{{label}}}" if not number else _CONTINUED
            yield from _long(table.columns, part, piece, head)
        yield from _list(notes)
        return
    yield from (r"\begin{table}[htbp]", r"\centering", rf"\caption{{{caption}}}")
    yield from (rf"\label{{{label}}}", r"\par\medskip", *_SMALL)
    for number, piece in enumerate(pieces):
        if number:
            yield r"\par\medskip"
        yield rf"\begin{{tabular}}{{{_spec(table.columns, part.rows, piece)}}}"
        yield from (r"\toprule", _row(_heads(table.columns), piece), r"\midrule")
        yield from _rows(part, piece)
        yield from (r"\bottomrule", r"\end{tabular}")
    for note in notes:
        yield rf"\par\smallskip\parbox{{\linewidth}}{{{escape(note)}}}"
    yield r"\end{table}"


_SMALL = (r"\scriptsize", r"\setlength{\tabcolsep}{3pt}")
_CONTINUED = r"\caption[]{(its further columns)}"


def _long(columns: Sequence[Column], part: Part, piece: Sequence[int], head: str) -> Iterator[str]:
    heads = (r"\toprule", _row(_heads(columns), piece), r"\midrule")
    yield from ("{" + _SMALL[0], _SMALL[1])
    if head == _CONTINUED:
        yield r"\addtocounter{table}{-1}"
    yield rf"\begin{{longtable}}{{{_spec(columns, part.rows, piece)}}}"
    yield from (head + r"\\", *heads, r"\endfirsthead", *heads, r"\endhead")
    yield from (r"\bottomrule", r"\endfoot")
    yield from _rows(part, piece)
    yield from (r"\end{longtable}", "}")


def _rows(part: Part, piece: Sequence[int]) -> Iterator[str]:
    rows = [*part.rows]
    for number, row in enumerate(rows):
        if part.anchors and number and number == len(rows) - part.anchors:
            yield r"\midrule"
        yield _row(row, piece)


def _row(row: Sequence[str], piece: Sequence[int]) -> str:
    return " & ".join(escape(row[i].strip()) for i in piece) + r" \\"


def _heads(columns: Sequence[Column]) -> list[str]:
    return [column.in_one_line for column in columns]


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], i: int) -> int:
    """Return the characters of a column's longest cell, or fewer if it is folded."""
    width = max(len(cell.strip()) for cell in [columns[i].in_one_line, *(row[i] for row in rows)])
    return width if columns[i].kind == "number" else min(width, _WIDE)


def _spec(columns: Sequence[Column], rows: Sequence[Sequence[str]], piece: Sequence[int]) -> str:
    """Return how columns are set; those that are folded share what the others leave of a line."""
    widths = {i: _width(columns, rows, i) for i in piece}
    folded = [i for i in piece if columns[i].kind != "number" and widths[i] == _WIDE]
    left = LINE - sum(width + _BETWEEN for width in widths.values())
    spec = []
    for i in piece:
        if i in folded:
            share = (_WIDE + max(0, left) / len(folded)) / LINE
            spec.append(rf">{{\raggedright\arraybackslash}}p{{{min(share, 0.9):.2f}\linewidth}}")
        else:
            spec.append("r" if columns[i].right else "l")
    return "@{}" + "".join(spec) + "@{}"


def _pieces(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[list[int]]:
    """Share the columns out among tables that fit; those of names are in every one."""
    shown = [i for i, column in enumerate(columns) if column.heading or any(r[i] for r in rows)]
    own = [i for i in shown if columns[i].kind == "name"]
    pieces: list[list[int]] = []
    for i in shown:
        if i in own:
            continue
        if pieces:
            widths = (_width(columns, rows, j) + _BETWEEN for j in [*own, *pieces[-1], i])
            if sum(widths) <= LINE:
                pieces[-1].append(i)
                continue
        pieces.append([i])
    return [sorted([*own, *piece]) for piece in pieces or [[]]]
