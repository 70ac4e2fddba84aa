"""Blocks as HTML; all text is escaped by Jinja2, so that no name or sample is ever markup."""

from functools import cache
from typing import Any

from lmcompare.blocks.visible import visible
from lmcompare.errors import UserError

LACKING = "a page needs Jinja2 and matplotlib: pip install 'lmcompare[report]'"


@cache
def environment() -> Any:
    """Return the templates of this folder.

    Raises:
        UserError: Jinja2 is not here, which is an extra.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise UserError(LACKING) from error
    found = Environment(
        loader=PackageLoader("lmcompare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["shown"] = lambda text: visible(text, keep="\n")
    found.tests["table"] = lambda block: hasattr(block, "parts")
    found.tests["notes"] = lambda block: hasattr(block, "items")
    return found
