"""`lmcompare tag`: what people say of runs."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lmcompare.runs.places import find_places
from lmcompare_cli import completion, options
from lmcompare_cli.console import print_json, say


def tag(
    places: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            metavar="RUN|STUDY",
            help="Runs, or studies of them.",
            autocompletion=completion.places,
        ),
    ],
    add: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="A tag to add; repeat for several.",
            show_default=False,
            autocompletion=completion.tags,
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="A tag to remove; repeat for several.",
            show_default=False,
            autocompletion=completion.tags,
        ),
    ] = None,
    comment: options.Comment = None,
    format: options.Format = "table",
) -> None:
    """Tag runs, or comment on them, and show what is said of them.

    Tags and comments change no result and no run. `lmcompare runs --tag` finds runs by them.

    lmcompare tag experiments/first --add baseline --comment "With the new tokenizer."
    """
    from lmcompare.blocks import names, words
    from lmcompare.runs.finding import find_runs
    from lmcompare.runs.notes import NotesChange
    from lmcompare_cli.rendering.tables import print_table

    change = NotesChange.of(add=add or (), remove=remove or (), comment=comment)
    runs = find_runs(find_places(places), warn=partial(say, style="yellow"))
    change.require_removable(run.notes() for run in runs)
    for run in runs:
        change.apply(run.notes_file)
    found = [(run.path, run.notes()) for run in runs]
    if format == "json":
        print_json(
            [
                {"run": str(path), "tags": notes.tags, "comment": notes.comment}
                for path, notes in found
            ]
        )
        return
    print_table(
        [*names("run"), *words("tags", "comment")],
        ([str(path), " ".join(notes.tags), notes.comment] for path, notes in found),
    )
