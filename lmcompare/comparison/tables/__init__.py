"""The tables of a comparison, one file for each kind of results.

To add one: write its file, and name it here; a kind of evaluation that has none gets a table of its
metrics.
"""

from lmcompare.comparison.tables.attention_tables import AttentionTables
from lmcompare.comparison.tables.base import AnyTables, ResultTables
from lmcompare.comparison.tables.context import ContextTables
from lmcompare.comparison.tables.generation_tables import GenerationTables
from lmcompare.comparison.tables.geometry import GeometryTables
from lmcompare.comparison.tables.infilling import InfillingTables
from lmcompare.comparison.tables.lexical import LexicalTables
from lmcompare.comparison.tables.likelihood import LikelihoodTables
from lmcompare.comparison.tables.metrics import MetricTables
from lmcompare.comparison.tables.probe_tables import ProbeTables
from lmcompare.comparison.tables.similarity_tables import SimilarityTables
from lmcompare.comparison.tables.task_tables import TaskCurves, TaskTables
from lmcompare.evaluation.registry import kinds

TABLES: tuple[AnyTables, ...] = (  # in the order in which they are read
    LikelihoodTables(),
    InfillingTables(),
    GenerationTables(),
    TaskTables(),
    TaskCurves(),
    ProbeTables(),
    SimilarityTables(),
    GeometryTables(),
    ContextTables(),
    LexicalTables(),
    AttentionTables(),
)


def all_tables() -> list[AnyTables]:
    """Return the tables of all kinds of evaluation, in the order in which they are read."""
    own = {tables.record for tables in TABLES}
    others = [MetricTables(kind) for kind in kinds().values() if kind.record not in own]
    return [*TABLES, *others]


__all__ = ["TABLES", "AnyTables", "ResultTables", "all_tables"]
