"""A view drawn to be read: its positions as a table, and who sees whom as a picture.

Nothing here knows an objective: the view says it all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text as Line

from lmcompare_cli.console import glyphs, legible, output

if TYPE_CHECKING:
    from lmcompare.data import Tokenizer
    from lmcompare.teaching.slots import Slot
    from lmcompare.view import Text, View

LARGEST_PICTURE = 64  # positions
LONGEST_LABEL = 12  # columns of a token at the left of the picture
PREDICTS = "cyan"
STYLES = {
    "": "",
    "masked": "bold magenta",
    "replaced": "bold yellow",
    "kept": "bold green",
    "special": "bold blue",
    "query": "bold cyan",
    "padding": "dim",
}


def read_slots(view: "View", text: "Text", tokenizer: "Tokenizer") -> "list[list[Slot]]":
    """Return the positions of each row of a view, spelled in characters that stdout has."""
    from lmcompare.teaching import slots

    return [[spelled(slot) for slot in row] for row in slots.read_slots(view, text, tokenizer)]


def spelled(slot: "Slot") -> "Slot":
    """Return a position with its tokens in visible characters that stdout has."""
    return replace(
        slot, text=legible(slot.text), input=legible(slot.input), target=legible(slot.target)
    )


def draw(
    view: "View", text: "Text", tokenizer: "Tokenizer", *, tables: bool = True
) -> Iterator[Line | Table]:
    """Draw the rows of a view, one under the other; of each, first its source, if any.

    Args:
        view: what an objective made of `text`.
        text: the text.
        tokenizer: how tokens are spelled.
        tables: whether there is a table of positions before each picture.
    """
    for row, slots in enumerate(read_slots(view, text, tokenizer)):
        if view.part is not None:
            number = int(view.part[row])
            yield Line(f"Part {number} of the mixture: a row is for one, --draws shows others\n")
        looks = view.sees()[row].tolist()
        if view.source is None:
            yield from _table_and_picture(slots, looks, tables)
            continue
        source, inside = read_slots(view.source, text, tokenizer)[row], view.source.sees()[row]
        yield from _table_and_picture(source, inside.tolist(), tables, "source")
        yield from _table_and_picture(slots, looks, tables, "output")
        across = view.sees_source()[row]
        if across[:, view.source.visible[row]].all():
            yield Line("Each position of the output sees all of the source.\n")
        else:
            title = "Who of the output sees whom of the source"
            yield from picture(slots, across.tolist(), keys=source, title=title)
            yield Line()


def _table_and_picture(
    slots: "list[Slot]", sees: list[list[bool]], table: bool, name: str = ""
) -> Iterator[Line | Table]:
    """Draw a view, or the one of its two parts that is named."""
    if table and name:
        yield Line(f"The {name}\n", style="bold")
    if table:
        yield slot_table(slots)
        yield Line()
    yield from picture(slots, sees, title=f"Who sees whom{name and ' in the ' + name}")
    yield Line()


def slot_table(slots: "list[Slot]") -> Table:
    """Return a table with one line for each position."""
    signs = glyphs()
    nothing = Line(signs.none, style="dim")
    table = Table(box=SIMPLE_HEAD, header_style="", show_edge=False, pad_edge=False)
    table.add_column("place", justify="right", style="dim")
    spans, placed = slots[0].within is not None, any(slot.text for slot in slots)
    if spans:
        table.add_column("in span", justify="right", style="dim")
    if placed:
        table.add_column("text")
    table.add_column("goes in")
    table.add_column("")
    predicts = any(slot.target for slot in slots)
    if predicts:
        ahead = any(slot.ahead for slot in slots)
        table.add_column("predicts the next" if ahead else "predicts")
        table.add_column("weight", justify="right")
    for slot in slots:
        style = STYLES[slot.change]
        target = f"{signs.arrow} {slot.target}" if slot.ahead else slot.target
        table.add_row(
            str(slot.index),
            *([str(slot.within)] if spans else []),
            *([slot.text or signs.none] if placed else []),
            Line(slot.input, style=style),
            Line(slot.change, style=style),
            *([Line(target, style="bold") if slot.target else nothing] if predicts else []),
            *([f"{slot.weight:.3g}" if slot.target else nothing] if predicts else []),
        )
    return table


def picture(
    slots: "list[Slot]",
    sees: list[list[bool]],
    *,
    keys: "list[Slot] | None" = None,
    title: str = "Who sees whom",
) -> list[Line]:
    """Draw who sees whom: a row for each position that looks, a column for each looked at.

    Args:
        slots: those that look.
        sees: of each, whether it sees each that is looked at.
        keys: those that are looked at; the same ones by default.
        title: the line above it.
    """
    signs, keys = glyphs(), keys or slots
    label = min(LONGEST_LABEL, max(cell_len(slot.input) for slot in slots))
    margin = label + 5
    room = max(output.width - margin, 1)
    size = min(len(keys), LARGEST_PICTURE, room)
    wide = 2 if 2 * size <= room else 1  # columns of the terminal

    shown = slots[:LARGEST_PICTURE]
    rows = [
        Line.assemble(
            (f"{slot.index:>3} ", "dim"),
            (set_cell_size(slot.input, label), STYLES[slot.change]),
            " ",
            *(cell(slot, seen, wide) for seen in looks[:size]),
        )
        for slot, looks in zip(shown, sees, strict=False)
    ]
    legend = Line(" " * margin)
    if any(slot.target for slot in shown):
        legend.append(signs.full, PREDICTS).append(" seen from where something is predicted  ")
        legend.append(signs.half, "dim").append(" seen from elsewhere")
    else:
        legend.append(signs.half, "dim").append(" seen")
    cut = [Line(f"only the first {size} of {len(keys)} positions are drawn")]
    return [
        Line(title, style="bold"),
        *column_numbers(keys[:size], margin, wide),
        *rows,
        legend,
        *(cut if size < len(keys) else []),
    ]


def cell(slot: "Slot", seen: bool, wide: int) -> tuple[str, str]:
    """Return the sign that says whether a position is seen from `slot`, and its style."""
    signs = glyphs()
    if not seen:
        return signs.none.ljust(wide), "dim"
    sign, style = (signs.full, PREDICTS) if slot.target else (signs.half, "dim")
    return sign.ljust(wide), style


def column_numbers(keys: "Sequence[Slot]", margin: int, wide: int) -> list[Line]:
    """Return the lines above a picture: the index of each position, its digits below each other.

    Args:
        keys: the positions that are looked at.
        margin: columns before the first.
        wide: columns of the terminal for each.
    """
    tens = [slot.index // 10 % 10 for slot in keys]
    numbers = [
        ["" if now == before else str(now) for before, now in pairwise([0, *tens])],
        [str(slot.index % 10) for slot in keys],
    ]
    return [
        Line(" " * margin + "".join(digit.ljust(wide) for digit in digits), style="dim")
        for digits in numbers
        if any(digits)
    ]


def draw_list(views: Mapping[int, "View"], text: "Text", tokenizer: "Tokenizer") -> Table:
    """List what goes in at each step, and below it what is predicted where."""
    table = Table.grid(padding=(0, 2))
    for step, view in views.items():
        rows = {"goes in": read_slots(view, text, tokenizer)}
        if view.source is not None:
            rows = {"source": read_slots(view.source, text, tokenizer), "output": rows["goes in"]}
        for row in range(len(view.tokens)):
            lines = {name: _inputs(slots[row]) for name, slots in rows.items()}
            lines["predicts"] = _predictions([*rows.values()][-1][row])
            heads = [
                f"step {step}",
                *([] if view.part is None else [f"part {int(view.part[row])}"]),
            ]
            for head, (name, line) in zip_longest(heads, lines.items()):
                table.add_row(head, name, line)
            table.add_row()
    return table


def _inputs(slots: "list[Slot]") -> Line:
    return Line(" ").join(Line(slot.input, style=STYLES[slot.change]) for slot in slots)


def _predictions(slots: "list[Slot]") -> Line:
    targets = [_prediction(slot) for slot in slots if slot.target]
    return Line("  ").join(targets) or Line("nothing", style="dim")


def _prediction(slot: "Slot") -> Line:
    """Return a line such as `7:▁list (masked)`, or `7→▁list` for a token after its position."""
    if slot.ahead:
        return Line.assemble((f"{slot.index}{glyphs().arrow}", "dim"), (slot.target, "bold"))
    change = f" ({slot.change})" if slot.change else ""
    style = STYLES[slot.change] or "bold"
    return Line.assemble((f"{slot.index}:", "dim"), (slot.target, style), change)
