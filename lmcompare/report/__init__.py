"""A study as one page for a browser: what was asked, what came out, and how to do it again."""

from lmcompare.report.page import report, write_report

__all__ = ["report", "write_report"]
