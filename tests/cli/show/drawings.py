"""The text that is shown, and what a drawing of it says."""

import json

TEXT = "the cat sat on the mat because it was tired"
TWICE = f"{TEXT} {TEXT}"


def json_view(lines):
    (draw,) = json.loads("\n".join(lines))["draws"]
    return draw["view"]


def tables_of(lines):
    """The cells of each table, without the empty ones."""
    starts = [i for i, line in enumerate(lines) if line.startswith("place")]
    return [[line.split() for line in lines[i + 2 : lines.index("", i)]] for i in starts]


def table_of(lines):
    (table,) = tables_of(lines)
    return table


def pictures_of(lines, sizes):
    """The cells of each picture, as the signs that are drawn."""
    starts = [i for i, line in enumerate(lines) if line.startswith("Who")]
    pictures = []
    for start, size in zip(starts, sizes, strict=True):
        stop = next(i for i in range(start, len(lines)) if "seen" in lines[i])
        rows = [line for line in lines[start + 1 : stop] if line[:3].strip()]  # not the header
        pictures.append([list(line.replace(" ", "")[-size:]) for line in rows])
    return pictures


def picture_of(lines, size):
    (drawn,) = pictures_of(lines, [size])
    return drawn
