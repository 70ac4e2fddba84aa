"""From finished runs to one tidy frame, and from it to a table that ranks what can be ranked."""

from lmcompare.comparison.comparison import Comparison, collect, compare
from lmcompare.comparison.control import ControlCheck
from lmcompare.comparison.document import document
from lmcompare.comparison.formats import FORMATS, write_tables

__all__ = [
    "FORMATS",
    "Comparison",
    "ControlCheck",
    "collect",
    "compare",
    "document",
    "write_tables",
]
