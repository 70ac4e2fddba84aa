"""A comparison as blocks, in the order in which it is read."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lmcompare.blocks import Block, Column, Notes, Part, Table, names, words
from lmcompare.comparison.control import ControlCheck
from lmcompare.comparison.tables import AnyTables, all_tables
from lmcompare.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from lmcompare.comparison.comparison import Comparison

SUMMARY, CONTROL, ALL = "summary", "control", "all"
EVERYTHING = (SUMMARY, ALL)


def table_names() -> list[str]:
    """Return what a part of a comparison is called, in the order in which they are read."""
    return [SUMMARY, *(each.key for each in all_tables()), CONTROL, ALL]


def require_tables(tables: Sequence[str]) -> None:
    """Make sure that there are tables of such names.

    Raises:
        UserError: there is none.
    """
    for name in tables:
        if name not in table_names():
            raise UserError(f"there is no table '{name}': {did_you_mean(name, table_names())}")


def document(comparison: "Comparison", tables: Sequence[str] = EVERYTHING) -> list[Block]:
    """Return what a comparison says.

    Args:
        comparison: of some arms.
        tables: the names of what is wanted, `summary`, `control` for the control sheet, or `all`
            for every table but the summary; everything by default.

    Raises:
        UserError: there is no table of such a name.
    """
    require_tables(tables)
    every = ALL in tables
    shown = [
        (each, comparison.tables.get(each.key, ()))
        for each in all_tables()
        if every or each.key in tables
    ]
    footnotes = (note for each, found in shown for note in each.footnotes(found))
    told = [*comparison.notes] if every else [*_notes(comparison, [each for each, _ in shown])]
    empty = [each.key for each, found in shown if not every and not found]
    none = [
        f"nothing was measured for the table `{key}`: `lmcompare compare --table summary` says "
        "which commands measure what"
        for key in empty
    ]
    return [
        *comparison.preface,
        *(comparison.summary.blocks() if SUMMARY in tables else ()),
        *(block for each, found in shown if found or every for block in each.blocks(found)),
        Notes([*footnotes, *none, *told]),
        *(
            [control_sheet(comparison.facts)]
            if comparison.facts and (every or CONTROL in tables)
            else []
        ),
    ]


def _notes(comparison: "Comparison", shown: Sequence[AnyTables]) -> Iterator[str]:
    """Yield the notes but those that are about other tables than these."""
    about = {each.key for each in shown}
    others = {note for key, own in comparison.notes_on.items() if key not in about for note in own}
    yield from (note for note in comparison.notes if note not in others)


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
