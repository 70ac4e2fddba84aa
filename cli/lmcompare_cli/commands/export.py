"""`lmcompare export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lmcompare.blocks.visible import visible
from lmcompare.runs.places import find_place
from lmcompare_cli import completion
from lmcompare_cli.console import output, say, warn


class To(StrEnum):
    """A library to export for."""

    hf = "hf"


def export(
    place: Annotated[
        Path,
        typer.Argument(
            readable=False,
            help="The run to export.",
            metavar="RUN",
            autocompletion=completion.places,
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(readable=False, help="A new or empty folder.", metavar="DIR")
    ],
    to: Annotated[
        To, typer.Option(help="For which library; hf is Hugging Face transformers.")
    ] = To.hf,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export in this folder.")
    ] = False,
) -> None:
    """Write a run as a model that Hugging Face transformers loads, with its tokenizer and a card.

    The folder is printed to stdout.
    """
    from lmcompare.errors import UserError
    from lmcompare.huggingface import export_hf
    from lmcompare.runs.finding import find_models

    exporters = {To.hf: export_hf}
    run, *others = find_models([find_place(place)], warn=warn)
    if others:
        raise UserError(
            f"{place} holds {1 + len(others)} runs and one can be exported at a time: name it, "
            f"such as {run.path}"
        )
    hf_model = exporters[to](run, folder, force=force, warn=warn)
    say(f"{hf_model.auto_class}.from_pretrained loads it as {hf_model.name}")
    output.print(visible(str(folder), keep=""), soft_wrap=True)
