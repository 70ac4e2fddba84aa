"""A comparison as blocks, in the order in which it is read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lmcompare.blocks import Block, Column, Notes, Part, Table, names, words
from lmcompare.comparison.control import ControlCheck
from lmcompare.comparison.tables import all_tables

if TYPE_CHECKING:
    from lmcompare.comparison.comparison import Comparison


def document(comparison: "Comparison") -> list[Block]:
    """Return all that a comparison says."""
    shown = [(each, comparison.tables.get(each.key, ())) for each in all_tables()]
    footnotes = (note for each, tables in shown for note in each.footnotes(tables))
    return [
        *comparison.summary,
        *(block for each, tables in shown for block in each.blocks(tables)),
        Notes([*footnotes, *comparison.notes]),
        *([control_sheet(comparison.facts)] if comparison.facts else []),
    ]


def control_sheet(facts: Sequence[ControlCheck]) -> Table:
    """Return what was compared between runs, and what was found."""
    return Table(
        columns=[*names("fact"), Column("held equal", "number"), *words("found")],
        parts=[
            Part(
                title="Control sheet",
                subtitle="What was compared between the runs, so that only the objective differs",
                rows=[[each.name, "yes" if each.equal else "NO", each.words] for each in facts],
                bold=[not each.equal for each in facts],
            )
        ],
    )
