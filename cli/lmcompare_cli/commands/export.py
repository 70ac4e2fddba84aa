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
    checkpoint: Annotated[
        int | None,
        typer.Option(
            metavar="STEP",
            help="The model as it was after this step, and not the last; which steps are there, "
            "runtime.save_every and runtime.keep said in training.",
        ),
    ] = None,
    every_checkpoint: Annotated[
        bool,
        typer.Option(
            "--every-checkpoint",
            help="All checkpoints that were kept (runtime.keep=1000 in training), each in a "
            "folder DIR/step-STEP.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export in this folder.")
    ] = False,
) -> None:
    """Write a run as a model that Hugging Face transformers loads, with its tokenizer and a card.

    The folder is printed to stdout.
    """
    from lmcompare.errors import UserError
    from lmcompare.huggingface import export_every_checkpoint, export_hf
    from lmcompare.runs.finding import at_step, find_models

    if every_checkpoint and checkpoint is not None:
        raise UserError("`checkpoint=` is one, and `every_checkpoint=True` all: leave out one")
    exporters = {To.hf: export_every_checkpoint if every_checkpoint else export_hf}
    run, *others = find_models([find_place(place)], warn=warn)
    if others:
        raise UserError(
            f"{place} holds {1 + len(others)} runs and one can be exported at a time: name it, "
            f"such as {run.path}"
        )
    if checkpoint is not None:
        run = at_step(run, checkpoint)
    hf_model = exporters[to](run, folder, force=force, warn=warn)
    which = "each" if every_checkpoint else "it"
    say(f"{hf_model.auto_class}.from_pretrained loads {which} as {hf_model.name}")
    output.print(visible(str(folder), keep=""), soft_wrap=True)
