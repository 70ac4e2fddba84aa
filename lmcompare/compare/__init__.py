"""From finished runs to one tidy frame, and from it to a table that ranks what can be ranked."""

from lmcompare.compare.benchmarks import BenchmarkTable
from lmcompare.compare.comparison import Comparison, collect, compare
from lmcompare.compare.document import document
from lmcompare.compare.frontier import frontier
from lmcompare.compare.generated import GenerationTable
from lmcompare.compare.held import Fact
from lmcompare.compare.hidden import HiddenTable
from lmcompare.compare.sections import Row, Section
from lmcompare.compare.table import COLUMNS
from lmcompare.compare.writing import FORMATS, write_tables

__all__ = [
    "COLUMNS",
    "FORMATS",
    "BenchmarkTable",
    "Comparison",
    "Fact",
    "GenerationTable",
    "HiddenTable",
    "Row",
    "Section",
    "collect",
    "compare",
    "document",
    "frontier",
    "write_tables",
]
