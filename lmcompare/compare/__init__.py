"""From finished runs to one tidy frame, and from it to a table that ranks what can be ranked."""

from lmcompare.compare.comparison import Comparison, collect, compare
from lmcompare.compare.control import ControlCheck
from lmcompare.compare.document import document
from lmcompare.compare.formats import FORMATS, write_tables

__all__ = [
    "FORMATS",
    "Comparison",
    "ControlCheck",
    "collect",
    "compare",
    "document",
    "write_tables",
]
