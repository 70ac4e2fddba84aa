"""A page in HTML that shows a text under several objectives, and what models expect of it.

It is one file without scripts that asks nothing of the network. Jinja escapes all texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from lmcompare.blocks.visible import legible
from lmcompare.comparison.figures.views import ARROW, SPACE, color_of, draw_view
from lmcompare.errors import UserError
from lmcompare.teaching.prediction_formats import SEEN, groups, notes_of, percent, rows_of
from lmcompare.teaching.predictions import Predictions
from lmcompare.teaching.slots import Slot
from lmcompare.teaching.views import ObjectiveView, Views

TEMPLATE = Path(__file__).with_name("teaching_page.html.j2")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A position as a row of the table beside a picture."""

    slot: Slot
    seen: Sequence[tuple[str, str]]  # the name of what is looked at, and which of its positions


def teaching_page(
    text: str, *, views: Views | None = None, predictions: Sequence[Predictions] = ()
) -> str:
    """Return the page; the same text each time.

    Args:
        text: the text that all is about.
        views: the text under several objectives, if these are to be shown.
        predictions: what models expect of it, if they were asked.

    Raises:
        UserError: Jinja is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise UserError(
            "a page needs jinja2: pip install 'lmcompare[report]', or leave out --html"
        ) from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"legible": legible, "piece": _piece, "percent": percent}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    panels: list[dict[str, Any]] = [
        {
            "view": view,
            "color": color_of(view.objective),
            "svg": Markup(draw_view(view, id=f"picture-{number}")),
            "tables": _tables(view),
        }
        for number, view in enumerate(views.views if views else ())
    ]
    return template.render(
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


def _tables(view: ObjectiveView) -> dict[str, list[Row]]:
    """Return the rows of a table for each kind of position."""
    return {name: [*_rows(view, slots)] for name, slots in view.slots.items()}


def _rows(view: ObjectiveView, slots: Sequence[Slot]) -> Iterator[Row]:
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
        yield Row(slot=slot, seen=seen)


def _piece(token: str) -> str:
    return legible(token, space=SPACE)
