"""The first table: what each objective buys, a row an aspect and a column an arm."""

from lmcompare.comparison.summary.aspects import ASPECTS
from lmcompare.comparison.summary.base import Aspect, Material
from lmcompare.comparison.summary.cells import Cell, SummaryRow
from lmcompare.comparison.summary.summary import Summary

__all__ = ["ASPECTS", "Aspect", "Cell", "Material", "Summary", "SummaryRow"]
