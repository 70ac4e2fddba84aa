"""Characters that a terminal, a browser or a reader's eye would be misled by, made visible."""

import unicodedata

FORMULA = ("=", "+", "-", "@")  # what one begins with, to a spreadsheet
OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode: control, format, surrogate, separators of lines


def visible(text: str, *, keep: str = "\n") -> str:
    r"""Return the text with an escape such as \x1b for each character that a terminal may obey.

    Args:
        text: any, also one with lone surrogates, as a path that is not UTF-8 has them.
        keep: control characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode()
        if unicodedata.category(c) in OBEYED and c not in keep
        else c
        for c in text
    )


def legible(text: str, *, space: str = " ") -> str:
    """Return the text in characters that show, each other one as an escape; it may stand in XML.

    Args:
        text: any.
        space: how a space shows; of a token it must be seen.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown.replace(" ", space)


def columns_of(text: str) -> int:
    """Return how many columns of letters a text takes, as far as that can be known."""
    wide = unicodedata.east_asian_width
    return sum(0 if unicodedata.combining(c) else 2 if wide(c) in "WF" else 1 for c in text)


def shortened(text: str, columns: int, *, dots: str = "\N{HORIZONTAL ELLIPSIS}") -> str:
    """Return a text in at most so many columns; where that cuts it, with dots in its middle."""
    if columns_of(text) <= columns:
        return text
    first, last = text[: columns // 2], text[-(columns // 2) :]
    while columns_of(first) + columns_of(last) + len(dots) > columns:
        first, last = (first[:-1], last) if len(first) >= len(last) else (first, last[1:])
    return f"{first}{dots}{last}"


def cell(text: str) -> str:
    """Return a text for CSV, visible; one that would be a formula has an apostrophe in front."""
    shown = visible(text, keep="")
    return f"'{shown}" if shown.startswith(FORMULA) else shown
