"""`lmcompare similarity`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lmcompare.evaluation.registry import read_options
from lmcompare.evaluation.similarity.options import SimilarityOptions
from lmcompare.runs.places import find_places
from lmcompare_cli import completion, options
from lmcompare_cli.commands.eval import evaluate_runs
from lmcompare_cli.generate_options import num_rows_of
from lmcompare_cli.model_options import with_options_of


@with_options_of([SimilarityOptions])
def similarity(
    places: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            help="Runs, checkpoints, studies or hf:NAME: every pair of their models is compared.",
            metavar="RUN...",
            autocompletion=completion.places,
        ),
    ],
    split: options.Split = "validation",
    data: options.Data = None,
    document: options.Document = None,
    encoding_errors: options.EncodingErrors = None,
    field: options.Field = None,
    settings: options.SetData = None,
    study: options.StudyOfHf = None,
    device: options.Device = "auto",
    batch_size: Annotated[
        str,
        typer.Option(
            help="How many texts a forward pass reads; auto suits the device.", metavar="N"
        ),
    ] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Compare again what was compared before.")
    ] = False,
    format: options.Format = "table",
    **given: Any,
) -> None:
    """Compare the states of all layers of all runs on the same words: which models are alike.

    CKA, SVCCA, Procrustes, shared neighbours and representational similarity, each with what chance
    would give. Several seeds of each objective tell what objectives differ in: `lmcompare compare
    --table similarity` says where two are less alike than seeds of one are.
    docs/representations.md explains each figure.
    """
    asked = {
        "split": split,
        "data": options.data_config(
            data, document=document, encoding_errors=encoding_errors, field=field, settings=settings
        ),
        "device": device,
        "batch_size": None if batch_size == "auto" else num_rows_of(batch_size),
        "again": force,
        **{name: value for name, value in given.items() if value is not None},
    }
    evaluate_runs(
        find_places(places, study=study),
        read_options([SimilarityOptions.name], asked),
        format=format,
        force=force,
    )
