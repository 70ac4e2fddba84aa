"""A page of blocks on a terminal."""

from collections.abc import Iterable

from rich.console import Console

from lmcompare.blocks import Block, Notes, Paragraph, Table
from lmcompare_cli.console import output, paragraph
from lmcompare_cli.rendering.tables import print_parts


def print_page(blocks: Iterable[Block]) -> None:
    """Print blocks on stdout, one below the other."""
    title = ""
    for number, block in enumerate(blocks):
        match block:
            case Paragraph():
                print_paragraph(block, output)
            case Notes():
                _print_notes(block.items)
            case Table():
                if number:
                    output.print()
                print_parts(block.columns, block.parts, said=title)
                title = block.parts[-1].title or title if block.parts else title
                _print_notes(block.notes)


def print_paragraph(block: Paragraph, console: Console) -> None:
    """Print a paragraph on one of the two channels."""
    style = "bold red" if block.warns else "bold"
    paragraph((f"{block.about}: ", style), block.text, console=console)


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        paragraph((f"- {note}", "dim"))
