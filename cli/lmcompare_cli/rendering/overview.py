"""One text under several objectives on a terminal: of each, who sees whom and what is predicted.

Nothing is told by colour alone, nothing is cut: what is too wide is drawn in several pictures.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text as Line

from lmcompare.blocks.visible import legible as in_visible_characters
from lmcompare.blocks.visible import shortened
from lmcompare_cli.console import glyphs, output
from lmcompare_cli.rendering.view import PREDICTS, STYLES, cell, column_numbers, spelled

if TYPE_CHECKING:
    from lmcompare.teaching.slots import Slot
    from lmcompare.teaching.views import AttentionGrid, ObjectiveView, Views

NARROW = 60  # columns of a terminal, below which tokens are shortened more
INDEX = 4  # columns of a position's index, and a space


def draw_overview(views: "Views") -> Iterator[Line]:
    """Draw the text under each objective, one under the other."""
    signs = glyphs()
    yield from _said(views.text, "bold")
    yield from _said(f"{views.cut} seed {views.seed}".strip(), "dim")
    yield Line()
    for (sign, style), words in (
        ((signs.full, PREDICTS), "looks there, and predicts something"),
        ((signs.half, ""), "looks there, and predicts nothing"),
        ((signs.none, "dim"), "may not look there"),
    ):
        yield Line.assemble((sign, style), f" {words}")
    for view in views.views:
        yield Line()
        yield from _draw(view)
    for name, reason in views.refused.items():
        yield Line()
        yield from _said(f"{name} is not shown: {reason}")


def _draw(view: "ObjectiveView") -> Iterator[Line]:
    from lmcompare.comparison.figures.views import color_of

    color = color_of(view.objective)
    name = Line.assemble((f" {view.objective} ", f"{_ink(color)} on {color}"), f" {view.part}")
    name.rstrip()
    yield name
    yield from _said(f"sees {view.attention}")
    yield from _said(f"predicts {view.predicts}")
    for matrix in view.matrices:
        if matrix.rows is not matrix.columns and matrix.sees_all:
            yield from _said("each position of the output sees all of the source")
        else:
            yield from _matrix(matrix)
    for note in view.notes:
        yield from _said(note, "dim")


def _matrix(matrix: "AttentionGrid") -> Iterator[Line]:
    """Draw who sees whom, with what is predicted at the right of the first piece."""
    room = output.width
    longest = 12 if room >= NARROW else 8
    rows = [spelled(slot) for slot in matrix.rows]
    inputs = [_short(slot.input, longest) for slot in rows]
    targets = [_target(slot, longest) for slot in rows]
    if matrix.rows is not matrix.columns:
        targets = [""] * len(rows)  # they stand beside the output itself
    label, target = max(map(cell_len, inputs)), max(map(cell_len, targets))
    margin = INDEX + label + 1
    size = max(1, room - margin - target - 1)
    wide = 2 if 2 * len(matrix.columns) <= size else 1
    if matrix.name:
        yield Line(matrix.name, style="italic")
    for start in range(0, len(matrix.columns), size):
        keys = matrix.columns[start : start + size]
        for numbers in column_numbers(keys, margin, wide):
            numbers.rstrip()
            yield numbers
        for slot, given, expected, sees in zip(rows, inputs, targets, matrix.sees, strict=True):
            line = Line.assemble(
                (f"{slot.index:>3} ", "dim"),
                (set_cell_size(given, label), STYLES[slot.change]),
                " ",
                *(cell(slot, seen, wide) for seen in sees[start : start + size]),
                f" {expected}" if start == 0 else "",
            )
            line.rstrip()
            yield line


def _target(slot: "Slot", longest: int) -> str:
    if not slot.target:
        return ""
    arrow = f"{glyphs().arrow} " if slot.ahead else ""
    change = slot.change if slot.change in ("kept", "replaced", "query") else ""
    told = f" ({change})" if change and output.width >= NARROW else ""
    return f"{arrow}{_short(slot.target, longest)}{told}"


def _short(piece: str, longest: int) -> str:
    return shortened(piece, longest, dots="~" if output.options.ascii_only else "…")


def _said(text: str, style: str = "") -> Iterator[Line]:
    shown = in_visible_characters(text)
    if output.options.ascii_only:
        shown = shown.encode("ascii", "backslashreplace").decode()
    for line in Line(shown, style=style).wrap(output, output.width, overflow="fold"):
        line.rstrip()
        yield line


def _ink(color: str) -> str:
    """Return black or white, whichever can be read better on a colour."""
    return "black" if _luminance(color) > 0.18 else "white"


def _luminance(color: str) -> float:
    """Return the relative luminance of a colour such as #0072B2, as WCAG 2 has it."""
    shares = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    ]
    return sum(
        weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )
