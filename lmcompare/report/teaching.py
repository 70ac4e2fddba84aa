"""A page in HTML that shows a text under several objectives, and what models expect of it.

It is one file without scripts that asks nothing of the network, under the same policy as a report.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files as resources
from itertools import groupby
from typing import Any

from lmcompare.blocks.visible import legible
from lmcompare.comparison.figures.views import ARROW, SPACE, color_of, dark_style, draw_view
from lmcompare.report.html import environment
from lmcompare.teaching.prediction_formats import SEEN, groups, notes_of, percent, rows_of
from lmcompare.teaching.predictions import TextPredictions
from lmcompare.teaching.slots import Slot
from lmcompare.teaching.views import ObjectiveView, Views


@dataclass(frozen=True, kw_only=True)
class PositionRow:
    """A position as a row of the table beside a picture."""

    slot: Slot
    seen: Sequence[tuple[str, str]]  # the name of what is looked at, and which of its positions


def teaching_page(
    text: str, *, views: Views | None = None, predictions: Sequence[TextPredictions] = ()
) -> str:
    """Return the page; the same text each time.

    Args:
        text: the text that all is about.
        views: the text under several objectives, if these are to be shown.
        predictions: what models expect of it, if they were asked.

    Raises:
        UserError: Jinja is not installed.
    """
    panels: list[dict[str, Any]] = [
        {
            "view": view,
            "color": color_of(view.objective),
            "svg": draw_view(view, id=f"picture-{number}", styled=False),
            "tables": _tables(view),
        }
        for number, view in enumerate(views.views if views else ())
    ]
    style = "".join(
        resources("lmcompare.report").joinpath(f"templates/{name}").read_text("utf-8")
        for name in ("style.css", "teaching.css")
    )
    style += dark_style(".picture")
    return str(
        environment()
        .get_template("teaching.html.j2")
        .render(
            style=style,
            style_hash=b64encode(sha256(style.encode()).digest()).decode(),
            version=version("lmcompare"),
            text=text,
            views=views,
            panels=panels,
            groups=[
                {"models": group, "rows": [*rows_of(group)], "notes": [*notes_of(group)]}
                for group in groups(predictions)
            ],
            seen=SEEN,
            color_of=color_of,
            arrow=ARROW,
            piece=_piece,
            legible=legible,
            percent=percent,
        )
    )


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending whole numbers in words, such as "0-3, 5"; "none" where there is none."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or (
        "none"
    )


def _tables(view: ObjectiveView) -> dict[str, list[PositionRow]]:
    """Return the rows of a table for each kind of position."""
    return {name: [*_rows(view, slots)] for name, slots in view.slots.items()}


def _rows(view: ObjectiveView, slots: Sequence[Slot]) -> Iterator[PositionRow]:
    kinds = {id(each): name for name, each in view.slots.items()}
    looking = [each for each in view.matrices if each.rows is slots]
    for number, slot in enumerate(slots):
        seen = [
            (
                kinds[id(each.columns)],
                ranges([column for column, seen in enumerate(each.sees[number]) if seen]),
            )
            for each in looking
        ]
        yield PositionRow(slot=slot, seen=seen)


def _piece(token: str) -> str:
    return legible(token, space=SPACE)
