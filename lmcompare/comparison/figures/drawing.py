"""Pictures: whether they can be drawn here, in which style, and how names stand in them.

An objective has the same colour and marker in every picture. The colours are of Okabe & Ito (2008)
and of Paul Tol (technical note SRON/EPS/TN/09-002), chosen such that the closest two are as far
apart as can be to people with each kind of colour-blindness; in grey the markers tell them apart.
"""

import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

from lmcompare.blocks.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# of each objective: its colour and its marker
LOOKS: Mapping[str, tuple[str, str]] = {
    "clm": ("#0072B2", "o"),
    "mlm": ("#E69F00", "s"),
    "prefix": ("#6699CC", "D"),
    "plm": ("#882255", "^"),
    "t5": ("#000000", "v"),
    "bart": ("#661100", "P"),
    "glm": ("#AA4466", "X"),
    "mntp": ("#997700", "p"),
    "hybrid": ("#4B0055", "*"),
    "ul2": ("#88CCEE", "h"),
    "mdlm": ("#EE6677", "<"),
    "fim": ("#004488", ">"),
}
UNKNOWN = ("#777777", "d")  # of an objective that was added elsewhere
GREY = "#666666"  # of what is of no arm
LONGEST_NAME = 40  # characters in a legend
# of the first arm of an objective, its second, ...; dashes and dots have meanings of their own
LINES: Sequence[Any] = ("-", (0, (9, 2)), "-.", (0, (9, 2, 1, 2, 1, 2)))

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How an arm is drawn: its colour is of its objective, the rest tells it from others of it."""

    color: str
    marker: str
    line: Any  # a line style of matplotlib
    hollow: bool  # whether the middle of its markers is white

    @property
    def plotted(self) -> dict[str, Any]:
        """Return the colour, marker and line as matplotlib's `plot` takes them."""
        face = "white" if self.hollow else self.color
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": face,
        }


def looks(objectives: Mapping[Key, str]) -> dict[Key, Look]:
    """Return how each of some arms is drawn.

    Args:
        objectives: of each arm the name of its objective, with or without its settings.
    """
    num_before: dict[str, int] = {}
    found: dict[Key, Look] = {}
    markers = [marker for _, marker in LOOKS.values()]
    for key, objective in objectives.items():
        name = objective.partition(" ")[0]
        color, marker = LOOKS.get(name, UNKNOWN)
        number = num_before.get(name, 0)
        num_before[name] = number + 1
        if number > 1:  # two are told apart by their middles, more need other markers
            first = markers.index(marker) if marker in markers else 0
            marker = markers[(first + 5 * (number // 2)) % len(markers)]
        found[key] = Look(
            color=color,
            marker=marker,
            line=LINES[number % len(LINES)],
            hollow=number % 2 == 1,
        )
    return found


def can_draw() -> bool:
    """Return whether matplotlib is here, which is an extra."""
    return find_spec("matplotlib") is not None


@contextmanager
def style() -> Iterator[None]:
    """Return a context in which pictures are drawn.

    The same picture has the same bytes each time, and a name with $ in it is no formula. Text stays
    text, so it matters to nobody which characters the fonts of this machine have.
    """
    from matplotlib import rc_context

    settings = {"svg.hashsalt": "lmcompare", "svg.fonttype": "none", "text.parse_math": False}
    with rc_context(settings), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def written(figure: "Figure", format: str) -> bytes:
    """Return a picture as a file of some format, which holds no date."""
    drawn = BytesIO()
    figure.savefig(drawn, format=format, metadata={"Date": None} if format == "svg" else None)
    return drawn.getvalue()


def name_of(text: str) -> str:
    """Return a name for a legend, which would leave out one that begins with a low line.

    Of one that is too long the middle is left out, so that it leaves room for the picture.
    """
    shown = visible(text, keep="")
    if len(shown) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        shown = f"{shown[: half + 1]}…{shown[-half + 2 :]}"
    return f" {shown}" if shown.startswith("_") else shown
