r"""The two channels of the command line, data and talk, and the one way in which both are printed.

Whatever a command prints passes here: texts, paths, names of studies and arms, errors. Characters
that a terminal would obey rather than show (escape sequences, marks that turn the direction of
writing) come out as escapes such as \x1b. Nothing printed is taken for markup: a text may hold
"[MASK]" or ":cat:" and must come out as it is. Both channels are plain when piped and without
colour under NO_COLOR.
"""

import json
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text as Line

from lmcompare.blocks.visible import OBEYED, visible
from lmcompare.blocks.visible import legible as in_visible_characters
from lmcompare_cli.flags import as_options

# Each environment variable of a terminal's size, and what it must be at least to be believed; rich
# prints nothing at all in zero columns.
_SIZES = {"COLUMNS": 20, "LINES": 2, "TERMINAL_WIDTH": 20}
_LARGEST_SIZE = 10_000


class Printer(Console):
    """A console that shows every character of a text and obeys none."""

    def render_str(self, text: str, **options: Any) -> Line:
        """Make a line of the text; strings that are printed, and cells, come through here."""
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render anything; what was not a string at first is made visible here."""
        for segment in super().render(renderable, options):
            if segment.control:  # rich's own: to move the cursor, for example
                yield segment
            else:
                yield Segment(visible(segment.text, keep="\n\t"), segment.style)


def _forget_impossible_sizes() -> None:
    """Remove sizes that no terminal has from the environment, as if they were not set."""
    for name, least in _SIZES.items():
        given = os.environ.get(name)
        if given is None:
            continue
        number = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0
        if not least <= number <= _LARGEST_SIZE:
            del os.environ[name]


_forget_impossible_sizes()
output = Printer(markup=False, emoji=False, highlight=False)  # data, on stdout
talk = Printer(markup=False, emoji=False, highlight=False, stderr=True)  # what is said about it


def write(text: str, style: str = "") -> None:
    """Print data without ending the line; what a terminal would obey is spelled out."""
    shown = printable(visible(text, keep="\n\t"), output)
    segment = Segment(shown, Style.parse(style) if style else None)
    output.print(Segments([segment]), soft_wrap=True)


def paragraph(*parts: str | tuple[str, str], console: Console | None = None) -> None:
    """Print a paragraph, folded on a terminal and in one line elsewhere; settings as options.

    Args:
        parts: texts, or texts with a style.
        console: stdout's by default.
    """
    console = console or output
    pairs = (part if isinstance(part, tuple) else (part, "") for part in parts)
    text = Line.assemble(
        *((printable(visible(as_options(part)), console), style) for part, style in pairs)
    )
    console.print(text, soft_wrap=not console.is_terminal)


def say(text: str, style: str = "") -> None:
    """Say something in one line, on stderr, in which settings are shown as options."""
    talk.print(visible(as_options(text), keep=""), style=style or None, soft_wrap=True)


def warn(text: str) -> None:
    """Say in one line what a user should know of."""
    say(f"warning: {text}", "yellow")


def fail(text: str) -> None:
    """Say in one line what went wrong."""
    say(f"error: {text}", "red")


def dumps(content: object, *, indent: int | None = None) -> str:
    """Return JSON in characters that stdout has, none of which a terminal obeys."""
    text = json.dumps(content, indent=indent, ensure_ascii=output.options.ascii_only)
    if text.isprintable():
        return text
    return "".join(
        json.dumps(c)[1:-1] if unicodedata.category(c) in OBEYED and c != "\n" else c for c in text
    )


def print_json(content: object) -> None:
    """Print JSON for a person or a program to read."""
    write(dumps(content, indent=2) + "\n")


@dataclass(frozen=True, kw_only=True)
class Glyphs:
    """Signs to draw with, each one column wide but for the arrow."""

    space: str
    arrow: str
    none: str
    full: str
    half: str


BLOCKS = Glyphs(space="▁", arrow="→", none="·", full="■", half="□")
ASCII = Glyphs(space="_", arrow="->", none=".", full="#", half="+")


def glyphs() -> Glyphs:
    """Return those that stdout has the characters for."""
    return ASCII if output.options.ascii_only else BLOCKS


def legible(piece: str) -> str:
    """Return a token in visible characters that stdout can write; a space shows as a low line."""
    shown = in_visible_characters(piece)
    if output.options.ascii_only:
        shown = shown.encode("ascii", "backslashreplace").decode()
    return shown.replace(" ", glyphs().space)


def printable(text: str, console: Console) -> str:
    """Return the text in the characters that the console has."""
    if not console.options.ascii_only:
        return text
    for sign, plain in (("±", "+-"), ("—", "-"), ("≤", "<=")):
        text = text.replace(sign, plain)
    return text.encode("ascii", "replace").decode()
