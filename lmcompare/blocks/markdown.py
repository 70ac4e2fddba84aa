"""Blocks in GitHub's Markdown, in which no text is taken for more than it is."""

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from lmcompare.blocks import Block, Column, Notes, Paragraph, Part, Table
from lmcompare.blocks.visible import visible

_MEANS_SOMETHING = re.compile(r"[\\`*_<>\[\]|~$&]")
_BEGINS_SOMETHING = re.compile(r"\s*\d*([#=+-]|(?<=\d)[.)])[#=+-]*(?=\s|$)")  # a list, a heading


def escape(text: str) -> str:
    """Return Markdown that shows a text as it is, in one line."""
    text = _MEANS_SOMETHING.sub(r"\\\g<0>", visible(text, keep=""))
    start = _BEGINS_SOMETHING.match(text)
    return text if start is None else f"{text[: start.start(1)]}\\{text[start.start(1) :]}"


def grid(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    return tabulate(
        [[escape(cell.strip()) for cell in row] for row in rows],
        headers=[escape(column.in_one_line) for column in columns],
        tablefmt="pipe",
        colalign=["right" if column.right else "left" for column in columns],
        disable_numparse=True,
    )


def render(blocks: Iterable[Block]) -> str:
    """Return a page."""
    parts: list[str] = []
    title = ""
    for block in blocks:
        match block:
            case Paragraph():
                parts.append(f"**{escape(block.about)}:** {escape(block.text)}")
            case Notes():
                parts.append(_list(block.items))
            case Table():
                for part in block.parts:
                    parts += _part(block, part, said=title)
                    title = part.title or title
                if block.notes:
                    parts.append(_list(block.notes))
    return "\n\n".join(parts) + "\n"


def _part(table: Table, part: Part, *, said: str) -> list[str]:
    above = [f"### {escape(part.title)}"] if part.title not in ("", said) else []
    if part.subtitle:
        above.append(escape(part.subtitle))
    return [*above, grid(table.columns, part.rows)]


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {escape(item)}" for item in items)
