"""The page: sections in the order in which they are read, and the file that they are written to."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files as resources
from pathlib import Path

from lmcompare import files
from lmcompare.blocks import Block, Notes
from lmcompare.comparison.comparison import Comparison
from lmcompare.comparison.document import control_sheet
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.tables import all_tables
from lmcompare.errors import UserError
from lmcompare.report.figures import Figure, FigureChoice, curves, views
from lmcompare.report.html import LACKING, environment
from lmcompare.report.reproduction import commands, provenance, study_files
from lmcompare.report.samples import PromptSamples, samples
from lmcompare.teaching import SENTENCE

QUESTION = (
    "What does a pre-training objective buy? These models share their backbone, their text, its "
    "order and their budget, so far as the control sheet says so; their objectives differ."
)
SEES = (
    f'What training makes of "{SENTENCE}" A row is a position that looks, a column one that is '
    "looked at: a square where it may look, a large one where something is predicted from what it "
    "sees. At the left stands what goes in, at the right what is predicted."
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page with a heading of its own."""

    id: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = ()
    choices: Sequence[FigureChoice] = ()
    figures: Sequence[Figure] = ()
    samples: Sequence[PromptSamples] = ()
    code: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether it has nothing to show."""
        return not any((self.blocks, self.choices, self.figures, self.samples, self.code))


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that the template needs."""

    title: str
    lead: str
    sections: Sequence[Section]


def report(comparison: Comparison) -> str:
    """Return a comparison as one page of HTML that needs nothing from anywhere.

    It holds no script: what is chosen by a click is chosen by its style sheet. So the strictest
    content security policy holds, and names and texts can do nothing whatever they are.

    Raises:
        UserError: Jinja2 or matplotlib is not here, or the items behind a result are broken.
    """
    if not can_draw():
        raise UserError(LACKING)
    template = environment().get_template("page.html.j2")
    style = resources("lmcompare.report").joinpath("templates/style.css").read_text("utf-8")
    studies = ", ".join(comparison.frame["study"].unique())
    found = [each for each in _sections(comparison) if not each.is_empty]
    return str(
        template.render(
            page=Page(title=studies, lead=QUESTION, sections=found),
            style=style,
            style_hash=b64encode(sha256(style.encode()).digest()).decode(),
            version=version("lmcompare"),
        )
    )


def write_report(comparison: Comparison, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        UserError: as `report`, or the disk is full or the folder is not writable.
    """
    files.write_text(path, report(comparison))


def _sections(comparison: Comparison) -> Iterator[Section]:
    results = [result for arm in comparison.arms for result in arm.results]
    yield Section(id="equal", title="What was held equal", blocks=comparison.preface)
    yield Section(id="summary", title="Summary", blocks=[*comparison.summary.blocks()])
    yield Section(id="sees", title="Who sees whom", lead=SEES, figures=[*views(comparison.arms)])
    yield Section(id="curves", title="Learning curves", choices=[*curves(comparison.arms)])
    for each in all_tables():
        tables = comparison.tables.get(each.key, ())
        yield Section(
            id=f"table-{each.key}",
            title=each.key.capitalize(),
            blocks=[*each.blocks(tables), *_notes([*each.footnotes(tables)])],
            figures=[
                Figure(svg=svg, alt=f"Picture of {ending}; its values are in the tables above")
                for ending, svg in each.pictures(tables)
            ],
        )
    yield Section(
        id="samples",
        title="Samples",
        lead="The first texts as they came, none chosen, by the first seed of each arm.",
        samples=[*samples(comparison.arms)],
    )
    yield Section(id="notes", title="Notes and flags", blocks=_notes(comparison.notes))
    facts = comparison.facts
    yield Section(
        id="control", title="Control sheet", blocks=[control_sheet(facts)] if facts else []
    )
    yield Section(
        id="again",
        title="To do it again",
        blocks=[provenance(results)],
        code=[commands(results), *study_files(results)],
    )


def _notes(items: Sequence[str]) -> list[Block]:
    return [Notes(items)] if items else []
