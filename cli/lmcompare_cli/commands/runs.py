"""`lmcompare runs`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmcompare.errors import UserError
from lmcompare.runs.places import EXPERIMENTS, find_places
from lmcompare_cli import completion, options
from lmcompare_cli.console import print_json, say

if TYPE_CHECKING:
    from lmcompare.runs.listing import Listed, ListedRun

USUAL = ("run", "state", "step", "share", "loss", "validation")
_NUMBERS = {"seed", "step", "share", "loss", "validation"}
_HEADINGS = {"share": "of budget"}


def _words(what: str, metavar: str, *names: str, complete: Any = None) -> typer.models.OptionInfo:
    """Return an option that chooses runs by words."""
    found: typer.models.OptionInfo = typer.Option(
        *names,
        metavar=metavar,
        help=f"{what} Repeat for more.",
        show_default=False,
        autocompletion=complete,
    )
    return found


Tags = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="Those with the tag; all must hold.",
        show_default=False,
        autocompletion=completion.tags,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Those with the setting, as batch.rows=32; all must hold.",
        show_default=False,
        autocompletion=completion.settings,
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Sort by a column.", show_default="by path"),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="run, study, arm, objective, seed, state, step, share, loss, validation, budget, "
        "created, tags, comment, fault.",
        show_default=",".join(USUAL) + ", and tags if there are any",
    ),
]


def runs(
    places: options.Places = None,
    objective: Annotated[
        list[str] | None,
        _words(
            "Those that were trained for it.",
            "NAME",
            "--objective",
            "-o",
            complete=completion.objectives,
        ),
    ] = None,
    study: Annotated[
        list[str] | None, _words("Those of the study.", "NAME", complete=completion.studies)
    ] = None,
    arm: Annotated[list[str] | None, _words("Those of the arm.", "NAME")] = None,
    seed: Annotated[list[int] | None, _words("Those of the seed.", "NUMBER")] = None,
    state: Annotated[
        list[str] | None,
        _words("finished, unfinished, running, stopped, or broken with what is wrong.", "STATE"),
    ] = None,
    tag: Tags = None,
    where: Where = None,
    sort: Sort = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The largest first.")] = False,
    columns: Columns = None,
    out: options.Out = EXPERIMENTS,
    format: options.Format = "table",
) -> None:
    """List runs with their state, step and loss.

    lmcompare runs --objective mlm --where batch.rows=32 --sort validation
    """
    from lmcompare.runs.finding import find_all
    from lmcompare.runs.listing import Wanted, as_json, listed, require_columns
    from lmcompare.runs.listing import sort as in_order

    chosen = tuple(name.strip() for name in columns.split(",")) if columns is not None else ()
    require_columns([*chosen, *([sort] if sort else [])])
    wanted = Wanted(
        objectives=objective or (),
        studies=study or (),
        arms=arm or (),
        seeds=seed or (),
        states=state or (),
        tags=tag or (),
        settings=where or (),
    )
    all_runs = [listed(run) for run in find_all(find_places(places, out=out) if places else [out])]
    if not state:
        _say_broken(all_runs)
    found = wanted.among(all_runs)
    if sort:
        found = in_order(found, sort, reverse=reverse)
    elif reverse:
        found.reverse()
    rows = [each.row for each in found]
    if format == "json":
        print_json([as_json(row, chosen) for row in rows])
        return
    if not chosen:
        chosen = tuple([*USUAL, *(name for name in ("tags", "fault") if _any(rows, name))])
    _print(rows, chosen)
    if not rows:
        say("no run is like that")


def _say_broken(found: "Sequence[Listed]") -> None:
    """Say which runs are left out.

    Raises:
        UserError: all of them are.
    """
    faults = [each.row.fault for each in found if each.row.fault]
    if len(faults) == len(found):
        first = f"none of the {len(found)} runs can be read; the first: {faults[0]}"
        raise UserError(faults[0] if len(found) == 1 else first)
    for fault in faults:
        say(f"left out: {fault}", "yellow")


def _any(rows: "Sequence[ListedRun]", column: str) -> bool:
    return any(getattr(row, column) for row in rows)


def _print(rows: "Sequence[ListedRun]", columns: Sequence[str]) -> None:
    from lmcompare.blocks import Column
    from lmcompare_cli.rendering.tables import print_table

    print_table(
        [
            Column(
                _HEADINGS.get(name, name),
                "name" if name == "run" else "number" if name in _NUMBERS else "words",
                right=name in _NUMBERS,
            )
            for name in columns
        ],
        ([cells[name] for name in columns] for cells in map(_cells, rows)),
    )


def _cells(row: "ListedRun") -> Mapping[str, str]:
    """Return each column of a row as it is printed."""
    numbers = {
        "step": row.step is not None and f"{row.step:,}",
        "share": row.share is not None and f"{row.share:.0%} of {row.budget}",
        "loss": row.loss is not None and f"{row.loss:.3f}",
        "validation": row.validation is not None and f"{row.validation:.3f}",
        "seed": row.seed is not None and str(row.seed),
    }
    words = {
        "run": row.run,
        "study": row.study,
        "arm": row.arm or "",
        "objective": row.objective or "",
        "state": row.state,
        "budget": row.budget or "",
        "created": row.created or "",
        "tags": " ".join(row.tags),
        "comment": row.comment,
        "fault": row.fault,
    }
    return words | {name: number or "—" for name, number in numbers.items()}
