"""A comparison as blocks, in the order in which it is read."""

from collections.abc import Iterator, Sequence

from lmcompare.blocks import Block, Column, Notes, Part, Table, names, words
from lmcompare.compare.comparison import Comparison
from lmcompare.compare.control import ControlCheck
from lmcompare.compare.tables import generation, infilling, tasks
from lmcompare.compare.tables.generation import GenerationTable
from lmcompare.compare.tables.infilling import InfillingTable
from lmcompare.compare.tables.likelihood import COLUMNS, cells, footnotes
from lmcompare.compare.tables.likelihood_sections import Section
from lmcompare.compare.tables.tasks import BenchmarkTable


def document(comparison: Comparison) -> list[Block]:
    """Return all that a comparison says."""
    return [
        *comparison.summary,
        _likelihoods(comparison.sections),
        *map(_hidden, comparison.hidden),
        *([Notes(infilling.MARKS)] if comparison.hidden else []),
        *(table for each in comparison.generated for table in _generated(each)),
        *([Notes(generation.MARKS)] if comparison.generated else []),
        *(block for each in comparison.benchmarks for block in _benchmarks(each)),
        *([Notes(tasks.MARKS)] if comparison.benchmarks else []),
        Notes([*footnotes(comparison.sections), *comparison.notes]),
        *([_control_sheet(comparison.facts)] if comparison.facts else []),
    ]


def _likelihoods(sections: Sequence[Section]) -> Table:
    return Table(
        columns=COLUMNS,
        parts=[
            Part(
                title=section.title,
                subtitle=section.subtitle,
                rows=[cells(row) for row in section.rows],
                bold=[row.mark == "best" for row in section.rows],
            )
            for section in sections
        ],
    )


def _grid(first: str, *others: str) -> list[Column]:
    """Return a column that names its rows, and others of figures, which stand to the left."""
    return [*names(first), *(Column(each, "number") for each in others)]


def _hidden(table: InfillingTable) -> Block:
    if not any(answer for row in table.rows for answer in row.answers.values()):
        return Notes([f"{table.title.partition(':')[0]}: no arm can be asked so", *table.notes])
    questions = (Column(f" {each}", "number") for each in infilling.HEADINGS[2:])
    return Table(
        columns=[*names(*infilling.HEADINGS[:2]), *questions],
        parts=[Part(title=table.title, subtitle=table.subtitle, rows=table.cells, anchors=1)],
        notes=table.notes,
    )


def _generated(table: GenerationTable) -> Iterator[Table]:
    """Yield what was written, and below it what it took: no page has room for both in one."""
    own, cost = generation.NUM_WORDS, generation.NUM_COSTS
    rows = [[" ".join(filter(None, row[:own])), *row[own:]] for row in table.cells]
    yield Table(
        columns=_grid("arm", *generation.HEADINGS[own:-cost]),
        parts=[
            Part(
                title=generation.TITLE,
                subtitle=table.subtitle,
                rows=[row[:-cost] for row in rows],
                anchors=1,
            )
        ],
    )
    yield Table(
        columns=_grid("arm", *generation.HEADINGS[-cost:]),
        parts=[
            Part(
                title=generation.TITLE,
                subtitle="What it took to write it",
                rows=[[row[0], *row[-cost:]] for row in rows[:-1]],
            )
        ],
        notes=table.notes,
    )


def _benchmarks(table: BenchmarkTable) -> Iterator[Block]:
    for block in table.blocks:
        arm, *others = tasks.HEADINGS
        kinds = (words(each)[0] if each == "flags" else Column(each, "number") for each in others)
        smaller = [
            Table(
                columns=_grid(*each.headings),
                parts=[Part(title=table.title, subtitle=each.title, rows=each.cells)],
            )
            for each in block.smaller
        ]
        yield Table(
            columns=[*names(arm), *kinds],
            parts=[Part(title=table.title, subtitle=block.subtitle, rows=block.cells, anchors=1)],
            notes=() if smaller else block.notes,
        )
        yield from smaller
        if smaller and block.notes:
            yield Notes(block.notes)
    if table.notes:
        yield Notes(table.notes)


def _control_sheet(facts: Sequence[ControlCheck]) -> Table:
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
