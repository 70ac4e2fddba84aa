"""`lmcompare export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lmcompare_cli.console import output, talk
from lmcompare_cli.places import find_place


def _warn(text: str) -> None:
    talk.print(f"warning: {text}", style="yellow", soft_wrap=True)


class To(StrEnum):
    """For which library."""

    hf = "hf"


def export(
    place: Annotated[Path, typer.Argument(readable=False, help="A run.", metavar="RUN")],
    folder: Annotated[Path, typer.Argument(readable=False, help="New or empty.", metavar="DIR")],
    to: Annotated[To, typer.Option(help="hf: Hugging Face transformers.")] = To.hf,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an export that is there.")
    ] = False,
) -> None:
    """Write a run as a model that Hugging Face transformers loads, with its tokenizer and a card.

    The folder is printed to stdout.
    """
    from lmcompare.errors import UserError
    from lmcompare.export import export_hf
    from lmcompare.finding import find_models

    exporters = {To.hf: export_hf}
    run, *others = find_models([find_place(place)], warn=_warn)
    if others:
        raise UserError(
            f"{place} holds {1 + len(others)} runs and one can be exported at a time: name it, "
            f"such as {run.path}"
        )
    native = exporters[to](
        run,
        folder,
        force=force,
        warn=_warn,
    )
    talk.print(f"{native.auto_class}.from_pretrained loads it as {native.name}", soft_wrap=True)
    output.print(folder, soft_wrap=True)
