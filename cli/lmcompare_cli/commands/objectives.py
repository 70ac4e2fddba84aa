"""`lmcompare objectives`: what there is to choose from."""

from enum import StrEnum
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text as Line

from lmcompare.blocks import names, words
from lmcompare_cli import completion
from lmcompare_cli.console import output, write
from lmcompare_cli.rendering.tables import ANY_WIDTH, print_table

if TYPE_CHECKING:
    from lmcompare.training.objective_table import Entry


ALIGN = {"predicted": ">", "cost": ">"}
GIVEN = {"left": "what stands before", "both": "both sides"}


class Format(StrEnum):
    """A format of the list of objectives."""

    table = "table"
    json = "json"
    csv = "csv"
    md = "md"


def objectives(
    name: Annotated[
        str | None,
        typer.Argument(
            help="The one to show in full.",
            show_default=False,
            autocompletion=completion.objectives,
        ),
    ] = None,
    layout: Annotated[
        Format, typer.Option("--format", "-f", help="A table to read, or data.")
    ] = Format.table,
) -> None:
    """List the objectives: what each predicts, sees, costs and can score."""
    from lmcompare.objectives import parse_objective
    from lmcompare.training.objective_table import FORMATS, NOTES, catalogue, describe

    entries = [describe(parse_objective(name))] if name else catalogue()
    if layout is not Format.table:
        write(FORMATS[layout.value](entries))
        return
    if name:
        _print_in_full(entries[0])
    else:
        _print_all(entries)
    output.print()
    for note in NOTES:
        _say(note, style="dim")


def _print_all(entries: "list[Entry]") -> None:
    """Print a line of facts for each, and what it does below."""
    rows = [entry.columns() for entry in entries]
    facts = ("name", "kind", "predicted", "cost", "paper")
    width = {fact: max(len(fact), *(len(row[fact]) for row in rows)) for fact in facts}
    before = sum(width[fact] + 2 for fact in facts[:-1])
    for row in [dict(zip(facts, facts, strict=True)), *rows]:
        line = "  ".join(f"{row[fact]:{ALIGN.get(fact, '<')}{width[fact]}}" for fact in facts)
        _say(line, indent=before, style="bold")
        if row in rows:
            _say(f"    predicts {row['predicts']}; sees {row['sees']}", indent=4)
            _say(f"    generates {row['generates']}; scores {row['scores']}", indent=4)


def _print_in_full(entry: "Entry") -> None:
    from lmcompare.training.objective_table import about, brief, settings

    row = entry.columns()
    first, *others = about(entry.objective).split("\n\n")
    _say(first, style="bold")
    for paragraph in others:
        output.print()
        _say(paragraph)
    output.print()
    for fact in ("paper", "predicts", "sees", "generates", "scores", "predicted", "cost"):
        _say(f"{fact:<9}  {row[fact]}", indent=11)
    output.print()
    print_table(
        [*names("scoring"), *words("kind", "given", "length", "asked", "answers")],
        (
            [
                name,
                how.likelihood,
                GIVEN[how.given],
                how.form,
                how.protocol,
                ", ".join(how.answers),
            ]
            for name, how in entry.objective.scorings.items()
        ),
    )
    if chosen := list(settings(entry.objective)):
        output.print()
        print_table(
            [*names("setting"), *words("default", "what it is")],
            ([f"objective.{name}", brief(value), what] for name, value, what in chosen),
        )


def _say(text: str, *, indent: int = 0, style: str = "") -> None:
    """Print a paragraph, folded on a terminal and in one line elsewhere."""
    width = output.width if output.is_terminal else ANY_WIDTH
    folded = fill(text, width, subsequent_indent=" " * indent, break_on_hyphens=False)
    output.print(Line(folded, style=style), soft_wrap=True)
