"""Pictures: whether they can be drawn here, in which style, and how names stand in them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from lmcompare.blocks.visible import visible


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


def name_of(text: str) -> str:
    """Return a name for a legend, which would leave out one that begins with a low line."""
    shown = visible(text, keep="")
    return f" {shown}" if shown.startswith("_") else shown
