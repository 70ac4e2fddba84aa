"""`lmcompare probe`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lmcompare.evaluation.probes.options import ProbeOptions
from lmcompare.evaluation.registry import read_options
from lmcompare.runs.places import find_places
from lmcompare_cli import completion, options
from lmcompare_cli.commands.eval import evaluate_runs
from lmcompare_cli.generate_options import num_rows_of
from lmcompare_cli.model_options import with_options_of


@with_options_of([ProbeOptions])
def probe(
    places: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            help="Runs, studies, or hf:NAME of models of Hugging Face.",
            metavar="RUN...",
            autocompletion=completion.places,
        ),
    ],
    confusion: Annotated[
        bool,
        typer.Option(
            "--confusion", help="Print which classes are taken for which most often, too."
        ),
    ] = False,
    study: options.StudyOfHf = None,
    device: options.Device = "auto",
    batch_size: Annotated[
        str,
        typer.Option(
            help="How many sentences a forward pass reads; auto suits the device.", metavar="N"
        ),
    ] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Probe again what was probed before.")
    ] = False,
    format: options.Format = "table",
    **given: Any,
) -> None:
    """Ask the states of each layer what they tell of language: words, arcs, trees, neighbours.

    A small classifier learns from the labels of a treebank, layer by layer, and is tested on other
    sentences. Beside each score stand a control task with random labels, the most frequent label of
    the word's type, and the same model as it was before training: what a probe finds says something
    of the model only where it exceeds these. docs/probes.md explains each figure.
    """
    from lmcompare.evaluation.probes.confusion import confusion_blocks

    asked = {
        "device": device,
        "batch_size": None if batch_size == "auto" else num_rows_of(batch_size),
        "again": force,
        **{name: value for name, value in given.items() if value is not None},
    }
    evaluate_runs(
        find_places(places, study=study),
        read_options([ProbeOptions.name], asked),
        format=format,
        force=force,
        more=confusion_blocks if confusion else None,
    )
