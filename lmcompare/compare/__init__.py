"""From finished runs to one tidy frame, and from it to a table that ranks what can be ranked."""

from lmcompare.compare.comparison import Comparison, collect, compare
from lmcompare.compare.control import ControlCheck
from lmcompare.compare.document import document
from lmcompare.compare.figures.quality_diversity import frontier
from lmcompare.compare.formats import FORMATS, write_tables
from lmcompare.compare.tables.generation import GenerationTable
from lmcompare.compare.tables.infilling import InfillingTable
from lmcompare.compare.tables.likelihood import COLUMNS
from lmcompare.compare.tables.likelihood_sections import Row, Section
from lmcompare.compare.tables.tasks import BenchmarkTable

__all__ = [
    "COLUMNS",
    "FORMATS",
    "BenchmarkTable",
    "Comparison",
    "ControlCheck",
    "GenerationTable",
    "InfillingTable",
    "Row",
    "Section",
    "collect",
    "compare",
    "document",
    "frontier",
    "write_tables",
]
