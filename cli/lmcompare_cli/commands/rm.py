"""`lmcompare rm`: runs and studies that are not wanted, moved to the trash and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmcompare.blocks.visible import visible
from lmcompare.errors import UserError
from lmcompare.runs.places import EXPERIMENTS
from lmcompare_cli import completion, options
from lmcompare_cli.asking import confirmed
from lmcompare_cli.console import output, say

if TYPE_CHECKING:
    from lmcompare.runs.trash import Thrown


def rm(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            readable=False,
            metavar="RUN|STUDY",
            help="Runs and studies to move to the trash; without any, what is there is listed.",
            show_default=False,
            autocompletion=completion.places,
        ),
    ] = None,
    restore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Put back what has this name; repeat.",
            show_default=False,
            autocompletion=completion.thrown,
        ),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put back what was moved to the trash last.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Remove what is in the trash from the disk.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without a question.")] = False,
    out: options.Out = EXPERIMENTS,
) -> None:
    """Move runs or whole studies to the trash, and put them back.

    The trash is the folder .trash beside what was moved. Nothing else finds the runs in it, and
    nothing leaves the disk before --empty. A run that is being trained stays.

    lmcompare rm experiments/first/mlm-s0-1a2b3c4d
    """
    from lmcompare.runs import trash

    if sum(map(bool, (places, restore, undo, empty))) > 1:
        raise UserError("runs to move, --restore, --undo and --empty exclude one another: say one")
    if restore or undo:
        found = (
            trash.last_thrown(out) if undo else [trash.thrown(n, out=out) for n in restore or ()]
        )
        _put_back([*dict.fromkeys(found)])
    elif empty:
        _empty(out, yes=yes)
    elif places:
        _throw_away(places, out=out, yes=yes)
    else:
        _list(trash.in_trash_of(out))


def _throw_away(places: Sequence[Path], *, out: Path, yes: bool) -> None:
    from lmcompare.runs import trash

    going = trash.unwanted(places, out=out)
    for each in going:
        holds = "" if each.runs and each.runs[0].path == each.path else f", {_runs(len(each.runs))}"
        say(f"{each.path}{holds}")
    if confirmed(
        _folders(len(going)), yes=yes, verb="Move to the trash", done="moved to the trash"
    ):
        for thrown in trash.throw_away(going):
            _print(thrown.path)
        say("moved to the trash; lmcompare rm --undo puts back what was moved last")
    else:
        say("nothing was moved")


def _put_back(found: "Sequence[Thrown]") -> None:
    for each in found:
        each.require_free()
    for each in found:
        _print(each.restore())


def _empty(out: Path, *, yes: bool) -> None:
    from lmcompare.runs import trash

    found = trash.in_trash_of(out)
    _list(found)
    if found:
        what = f"{_folders(len(found))} and all that was trained there"
        if not confirmed(what, yes=yes, verb="Remove from the disk", done="removed from the disk"):
            say("nothing was removed")
            return
        for each in found:
            each.remove()
        say(f"removed {_folders(len(found))}")
    trash.clear_leftovers(out)


def _list(found: "Sequence[Thrown]") -> None:
    from lmcompare.blocks import names, numbers, words
    from lmcompare_cli.rendering.tables import print_table

    if not found:
        say("the trash is empty")
        return
    print_table(
        [*names("name"), *words("moved", "from"), *numbers("runs")],
        (
            [
                each.path.name,
                each.time.astimezone().strftime("%Y-%m-%d %H:%M"),
                str(each.origin),
                str(each.num_runs),
            ]
            for each in found
        ),
    )


def _print(path: Path) -> None:
    output.print(visible(str(path), keep=""), soft_wrap=True)


def _folders(num: int) -> str:
    return f"{num:,} folder{'' if num == 1 else 's'}"


def _runs(num: int) -> str:
    return f"{num:,} run{'' if num == 1 else 's'}"
