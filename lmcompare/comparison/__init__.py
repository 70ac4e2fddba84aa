"""From finished runs to one tidy frame, and from it to a table that ranks what can be ranked."""

from lmcompare.comparison.comparison import Comparison, collect, compare
from lmcompare.comparison.control import ControlCheck
from lmcompare.comparison.document import SUMMARY, document, require_tables, table_names
from lmcompare.comparison.evaluation_results import EvaluationResults
from lmcompare.comparison.formats import FORMATS, PAGES, write_tables
from lmcompare.comparison.frame import COLUMNS

__all__ = [
    "COLUMNS",
    "FORMATS",
    "PAGES",
    "SUMMARY",
    "Comparison",
    "ControlCheck",
    "EvaluationResults",
    "collect",
    "compare",
    "document",
    "require_tables",
    "table_names",
    "write_tables",
]
